"""Versions of a model: what replaced what is known, everything that was can come back, and nothing is half replaced."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command, write_shapes
from rich.console import Console
from test_serving import serving, wait

import mirante as package
from mirante.cli.tables import print_table
from mirante.errors import RequestError
from mirante.experiment import model_versions
from mirante.prediction.onnx_model import version_of

QUICK = {"layers": "8C3-MP2-16C3-MP2-16N", "recipe": "tutorial", "epochs": 1}


@pytest.fixture(scope="module")
def trained(shapes_run: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `good` and `poor`, tested on the same images."""
    folder = tmp_path_factory.mktemp("versions")
    shutil.copytree(shapes_run[0], folder / "good")
    package.train(shapes_run[1], **{**QUICK, "learning_rate": 1e-7}, out=folder / "poor")
    return folder


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def files(folder: Path) -> dict[str, bytes]:
    """Return the files that make a model, but data.json, which is given a note."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    beside = ("earlier", "replacement.part", "replaced.json", "data.json")
    return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] not in beside}


def test_a_model_is_replaced_and_comes_back_whole(runs: Path, mirante: Command) -> None:
    good, poor = runs / "good", runs / "poor"
    before, other = files(good), files(poor)
    done = mirante("versions", good, "--adopt", poor, "--why", "the new scanner", "--format", "json")
    assert done.returncode == 0, done.stderr
    now, kept = json.loads(done.stdout)
    assert files(good) == other and files(good / "earlier" / "1") == before and files(poor) == other
    assert (now["number"], kept["number"], kept["why"]) == (None, 1, "the new scanner")
    assert kept["replaced"] and now["replaced"] is None
    assert now["version"] == version_of(poor / "model.onnx") != kept["version"]
    assert kept["accuracy"] > now["accuracy"] and kept["images"] == now["images"]
    assert kept["only_this"] - kept["only_now"] == round((kept["accuracy"] - now["accuracy"]) * now["images"])
    assert kept["p_value"] < 0.05 and now["p_value"] == 1
    done = mirante("rollback", good)
    assert done.returncode == 0 and "earlier/2" in done.stdout.replace("\\", "/")
    assert files(good) == before and files(good / "earlier" / "2") == other
    assert mirante("rollback", good, "--to", "2").returncode == 0 and files(good) == other
    assert [one.number for one in model_versions.versions(good)] == [None, 3, 2, 1]
    shown = mirante("versions", good, "--lang", "pt").stdout
    assert "em uso" in shown and "Substituído" in shown


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_list_is_legible_in_a_terminal_of_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mirante.cli.tables.console", lambda: Console(width=width, highlight=False))
    named = "Versão|Modelo|Acurácia|Intervalo de 95%|Imagens de teste|Contra o que está em uso|Substituído (UTC)|Por|Por quê"
    told = "1|0123456789abcdef|82,86%|67,3% – 91,9%|35|2 melhor, 0 pior (p = 0,500)|2026-11-28 09:21:20|ana|20 fotos confirmadas"
    header, row = named.split("|"), told.split("|")
    print_table(header, [row, row])
    shown = capsys.readouterr().out
    for word in " ".join([*header, *row]).split():
        assert shown.count(word) >= (1 if word in " ".join(header) else 2), (word, shown)
    assert max(map(len, shown.splitlines())) <= max(width, 60)


def test_a_kept_model_is_a_run_like_any_other(runs: Path, mirante: Command, shapes_run: tuple[Path, Path]) -> None:
    assert mirante("versions", runs / "good", "--adopt", runs / "poor").returncode == 0
    kept = runs / "good" / "earlier" / "1"
    assert mirante("compare", runs / "good", kept).returncode == 0
    assert mirante("predict", kept, shapes_run[1] / "disc" / "000.png").stdout
    notes = [str(note) for note in package.Run(runs / "good").notes]
    assert any("earlier/1" in note and "poor" in note and "earlier/1" in note for note in notes)


def test_a_server_changes_over_by_itself(runs: Path) -> None:
    model_versions.adopt(runs / "good", runs / "poor")
    with serving(runs / "good") as server:
        first = server.ask("GET", "/v1/models/good")[2]["version"]
        model_versions.rollback(runs / "good")
        wait(lambda: server.ask("GET", "/v1/models/good")[2]["version"] != first)
        assert server.ask("GET", "/v1/models/good")[2]["version"] == version_of(runs / "good" / "model.onnx")


@pytest.mark.parametrize("at", range(1, 14, 3))
def test_a_kill_in_the_middle_is_finished_by_the_next_call(runs: Path, at: int) -> None:
    """The process ends after it has moved some files; whatever becomes of the other run, the next call moves the rest."""
    code = f"""
import os, pathlib
from mirante.experiment import model_versions
left, move = [{at}], pathlib.Path.replace
def dying(self, target):
    left[0] -= 1
    if not left[0]:
        os._exit(9)
    return move(self, target)
pathlib.Path.replace = dying
model_versions.adopt({str(runs / "good")!r}, {str(runs / "poor")!r})
"""
    before, other = files(runs / "good"), files(runs / "poor")
    version = version_of(runs / "poor" / "model.onnx")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode in ((9,) if at < 11 else (0, 9)), done.stderr
    shutil.rmtree(runs / "poor")
    if at == 1:  # before all of it was there
        assert files(runs / "good") == before and len(model_versions.versions(runs / "good")) == 1
        return
    (now, kept) = model_versions.versions(runs / "good")
    assert files(runs / "good") == other and files(runs / "good" / "earlier" / "1") == before
    assert now.version == version and kept.number == 1


def test_a_model_of_other_classes_is_not_adopted(runs: Path, tmp_path: Path) -> None:
    other = package.train(write_shapes(tmp_path / "birds", 12, ("bar", "disc")), **QUICK, out=tmp_path / "other")
    text = (other.path / "model.json").read_text().replace('"bar"', '"owl"').replace('"disc"', '"jay"')
    (other.path / "model.json").write_text(text)
    before = files(runs / "good")
    with pytest.raises(RequestError, match="answers another question"):
        model_versions.adopt(runs / "good", other.path)
    assert files(runs / "good") == before


def test_a_kill_after_keeping_leaves_no_second_version_of_the_same_model(runs: Path) -> None:
    good, poor = runs / "good", runs / "poor"
    before = files(good)
    model_versions.keep(good, "to be replaced by something that never came")
    assert [one.number for one in model_versions.versions(good)] == [None]
    with pytest.raises(RequestError, match="no earlier model"):
        model_versions.rollback(good)
    same = shutil.copytree(good, runs / "same")
    with pytest.raises(RequestError, match="its model is the one in use"):
        model_versions.adopt(good, same)
    kept = model_versions.adopt(good, poor, why="the new scanner")
    (_, earlier) = model_versions.versions(good)
    assert (kept.name, earlier.why) == ("1", "the new scanner") and files(kept) == before
    model_versions.rollback(good)
    assert files(good) == before


def test_a_run_that_is_open_shows_the_model_that_is_in_use(runs: Path) -> None:
    run = package.Run(runs / "good")
    accuracy = run.metrics.accuracy.value
    package.adopt(run, runs / "poor")
    assert run.metrics.accuracy.value < accuracy and len(run.notes) == len(package.Run(run.path).notes)
    package.rollback(run)
    assert run.metrics.accuracy.value == accuracy


def test_names_and_leftovers_of_other_times_do_no_harm(runs: Path) -> None:
    """A kept model of a version that kept less, one without predictions, a run that lies in a folder called earlier."""
    moved = runs / "earlier" / "flowers"
    moved.parent.mkdir()
    (runs / "good").rename(moved)
    (moved / "earlier" / "1").mkdir(parents=True)
    shutil.copyfile(moved / "model.onnx", moved / "earlier" / "1" / "model.onnx")
    assert model_versions.adopt(moved, runs / "poor").name == "2"
    (moved / "earlier" / "2" / "predictions.csv").unlink()
    (now, kept) = model_versions.versions(moved)
    assert now.number is None and kept.number == 2 and kept.accuracy != kept.accuracy and kept.p_value is None


def test_what_cannot_be_replaced_is_said_and_left(runs: Path, mirante: Command) -> None:
    good, before = runs / "good", files(runs / "good")
    for words, said in (
        (["rollback", good], "no earlier model to go back to"),
        (["versions", good, "--adopt", good], "the same run"),
        (["versions", good, "--why", "x"], "it needs --adopt"),
        (["versions", good, "--adopt", runs], "not a Mirante run"),
        (["versions", runs / "gone"], "no such run"),
    ):
        done = mirante(*words)
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    model_versions.adopt(good, runs / "poor")
    with pytest.raises(RequestError, match="no earlier model 7; there are 1"):
        model_versions.rollback(good, 7)
    (runs / "poor" / "predictions.csv").unlink()
    with pytest.raises(Exception, match=r"predictions\.csv"):
        model_versions.adopt(good, runs / "poor")
    model_versions.rollback(good)
    assert files(good) == before
