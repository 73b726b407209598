"""The technical file: figures that are those of the run, words that stay, blanks that say so, and nothing of a person's lost."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from urllib.parse import unquote

import onnx
import pytest
from conftest import Command

import mirante as package
from mirante.errors import RequestError
from mirante.prediction.onnx_model import version_of


@pytest.fixture
def run(shapes_run: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(shapes_run[0], tmp_path / "run")
    return tmp_path / "run"


def test_it_collects_what_the_run_knows_and_marks_what_only_a_person_can_say(run: Path, mirante: Command) -> None:
    done = mirante("dossier", run)
    assert done.returncode == 0 and re.search(r"(\d+) of \1 answers", done.stdout), done.stdout + done.stderr
    text = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    metrics = json.loads((run / "metrics.json").read_text())
    assert version_of(run / "model.onnx") in text and package.Run(run).data["fingerprint"] in text
    for key in ("value", "low", "high"):
        assert f"{100 * metrics['accuracy'][key]:.1f}%" in text
    assert r"per\_class · disc · recall" in text and "| bar |" in text
    answers = tomllib.loads((run / "dossier" / "answers.toml").read_text(encoding="utf-8"))
    assert len(answers) == text.count("⚠ Missing") > 15
    for link in re.findall(r"\]\(([^)]*)\)", text):
        assert (run / "dossier" / link).exists(), link


def test_of_a_run_with_a_time_it_claims_no_same_weights(run: Path) -> None:
    recipe = (run / "recipe.toml").read_text(encoding="utf-8")
    claim = "give the same weights on the same processor"
    package.dossier(run)
    assert claim in (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    (run / "recipe.toml").write_text(re.sub(r"(?m)^seconds = .*", "seconds = 60.0", recipe), encoding="utf-8")
    package.dossier(run)
    text = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    assert (
        claim not in text
        and "depends on the machine" in text
        and "| epochs |" not in text
        and "| seconds | 60 |" in text
    )


def test_answers_stay_and_figures_are_taken_anew(run: Path) -> None:
    first = package.dossier(run, purpose='To tell "bars" from discs | <b>not</b> for crosses.\nNever alone.')
    answers = run / "dossier" / "answers.toml"
    text = answers.read_text(encoding="utf-8").replace('risks = ""', 'risks = "None was found."')
    answers.write_text(text + '\nown = "kept too"\n', encoding="utf-8")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["accuracy"] = {"value": 0.1234, "low": 0.1, "high": 0.2}
    (run / "metrics.json").write_text(json.dumps(metrics))
    second = package.dossier(run)
    assert len(second.missing) == len(first.missing) - 1 == second.asked - 2
    made = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    page = (run / "dossier" / "dossier.html").read_text(encoding="utf-8")
    assert "12.3%" in made and "None was found." in made and "Never alone." in made
    assert "&lt;b&gt;not&lt;/b&gt;" in page and "12.3%" in page and "None was found." in page
    assert tomllib.loads(answers.read_text(encoding="utf-8"))["own"] == "kept too"


def test_what_a_person_wrote_is_never_overwritten(run: Path, mirante: Command) -> None:
    package.dossier(run)
    for name in ("dossier.md", "dossier.html"):
        made = run / "dossier" / name
        made.write_text(made.read_text(encoding="utf-8") + "My own words.\n", encoding="utf-8")
        done = mirante("dossier", run)
        assert done.returncode == 2 and "changed by hand" in done.stderr
        assert "My own words." in made.read_text(encoding="utf-8")
        made.unlink()
    answers = run / "dossier" / "answers.toml"
    noted = "# asked on Monday\n" + answers.read_text(encoding="utf-8")
    answers.write_text(noted, encoding="utf-8")
    package.dossier(run)
    assert answers.read_text(encoding="utf-8") == noted
    for content, said in (("purpose = ", "not TOML"), ("purpose = 3", "must be a text")):
        answers.write_text(content, encoding="utf-8")
        with pytest.raises(RequestError, match=said):
            package.dossier(run)
        assert answers.read_text(encoding="utf-8") == content


def test_it_is_in_portuguese_and_shuts_nobody_out(run: Path, browser) -> None:  # type: ignore[no-untyped-def]
    from axe_playwright_python.sync_playwright import Axe

    package.dossier(run, lang="pt")
    text = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    assert "Descrição geral" in text and "Falta: só uma pessoa" in text and "Acurácia" in text
    english = re.findall(r"\b(the|which|missing|images of|how good)\b", text.replace("run", ""), re.IGNORECASE)
    assert english == [], english
    for scheme in ("light", "dark"):
        page = browser.new_context(color_scheme=scheme).new_page()
        page.goto((run / "dossier" / "dossier.html").as_uri())
        found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert found == [], [one["id"] for one in found]


def test_changes_and_use_are_told(run: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "other")
    package.export(run, "onnx")
    network = onnx.load(other / "model.onnx")
    network.doc_string = "trained elsewhere"
    onnx.save(network, other / "model.onnx")
    package.adopt(run, other, why="the new scanner | twice")
    log = tmp_path / "log"
    assert mirante("predict", run, shapes_run[1], "--log", log).returncode == 0
    assert mirante("dossier", run, "--log", log).returncode == 0
    text = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    assert "the new scanner \\| twice" in text and "No log of its use" not in text and "Share of the images" in text
    assert "model.onnx, onnx (of an earlier model)" in text
    assert "answers of other versions" not in text
    package.rollback(run)  # the log is of the other one now
    done = mirante("dossier", run, "--log", log, "--lang", "en")
    text = (run / "dossier" / "dossier.md").read_text(encoding="utf-8")
    assert done.returncode == 0 and "none of these rows is of the model in use" in text and "earlier/" in text, (
        done.stderr
    )
    assert mirante("dossier", run, "--log", tmp_path / "gone").returncode == 2
    assert mirante("predict", run, shapes_run[1], "--log", log).returncode == 0
    assert mirante("dossier", run, "--log", log, "--lang", "en").returncode == 0
    assert " answers of other versions of the model are left out" in (run / "dossier" / "dossier.md").read_text("utf-8")
    assert mirante("dossier", run / "earlier" / "1", "--lang", "en", "--out", tmp_path / "first").returncode == 0
    title = (tmp_path / "first" / "dossier.md").read_text(encoding="utf-8").splitlines()[0]
    assert title.replace("\\", "") == "# Technical file: run/earlier/1"
    package.export(run, "onnx", overwrite=True)
    assert mirante("dossier", run).returncode == 0
    assert "model.onnx, onnx |" in (run / "dossier" / "dossier.md").read_text(encoding="utf-8")


def test_odd_names_and_files_of_other_editors_do_no_harm(run: Path) -> None:
    moved = run.rename(run.parent / "odd #1 (x) 20% [b]")
    made = package.dossier(moved, purpose="One.\r\nTwo.", out=moved.parent / "out here")
    text = (made.folder / "dossier.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]*)\)", text):
        assert (made.folder / unquote(link)).exists(), link
    answers = made.folder / "answers.toml"
    written = b"\xef\xbb\xbf" + answers.read_bytes().replace(b"\n", b"\r\n")
    answers.write_bytes(written)
    package.dossier(moved, out=made.folder)
    assert answers.read_bytes() == written  # as the editor left it
    assert "One.\nTwo." in (made.folder / "dossier.md").read_text(encoding="utf-8")
    with pytest.raises(RequestError, match="already says what the model is for"):
        package.dossier(moved, purpose="Three.", out=made.folder)
    (made.folder / "dossier.md").write_bytes(b"caf\xe9")
    with pytest.raises(RequestError, match="changed by hand"):
        package.dossier(moved, out=made.folder)


def test_classes_may_have_any_name(run: Path) -> None:
    from mirante.technical_file.contents import _figures

    share = {"value": 0.5, "low": 0.4, "high": None}
    found = dict(_figures({"per_class": {"value": share, "low": share, "high": share}}, ""))
    assert list(found) == ["per_class · value", "per_class · low", "per_class · high"]
