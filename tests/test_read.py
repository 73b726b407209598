"""Reading texts letter by letter: what a folder of named images becomes, how sure it is, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import captcha.image
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from captcha.image import ImageCaptcha
from conftest import Command, model_info
from hypothesis import given
from hypothesis import strategies as st

from mirante import Dataset, MiranteError, Run, RunError
from mirante.cluster.part import Order, answer_part
from mirante.cluster.plan import make_plan
from mirante.model.export import build_onnx, largest_difference, write_onnx
from mirante.model.network import build_network
from mirante.model.notation import parameters, parse_layers
from mirante.monitoring.log_reader import read_log
from mirante.monitoring.monitor import monitor
from mirante.prediction.model import Model
from mirante.prediction.onnx_model import Output
from mirante.studio.answers import open_run
from mirante.tasks.read import TASK
from mirante.tasks.read.calibrate import calibrate, fit_confidence_threshold, predict
from mirante.tasks.read.texts import NO_CHARACTER, decode, encode, text_size

LETTERS = "abd4Å"


class _Drawn(random.Random):
    """In place of the system's chance, by which the images of texts are drawn otherwise: the same images each time."""

    def randbelow(self, end: int) -> int:
        return self.randrange(end)

    randbits = random.Random.getrandbits


def draw_texts(
    folder: Path, count: int, shortest: int = 2, longest: int = 3, seed: int = 0, texts: Sequence[str] = ()
) -> Path:
    """Write images of different texts, or of these, named after them; those that repeat carry a running number."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    maker = ImageCaptcha(100, 40, font_sizes=(28, 32))
    with patch.object(captcha.image, "secrets", _Drawn(seed)):
        for number in range(count):
            drawn = "".join(chance.choice(LETTERS) for _ in range(chance.randint(shortest, longest)))
            text = chance.choice(texts) if texts else drawn
            image = maker.create_captcha_image(text, (30, 40, 90), (250, 250, 250))
            image.convert("L").save(folder / f"{text}_{number}.png")
    return folder


@pytest.fixture(scope="module")
def texts_run(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("texts")
    data = draw_texts(folder / "tags", 700)
    words = ["--task", "read", "--model", "W2-24B-48B-ATT", "--epochs", "30", "--lang", "pt"]
    done = mirante("train", data, *words, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "Textos inteiros" in done.stdout
    yield folder / "run", data


def test_whole_texts_are_read_and_every_figure_is_in_the_predictions(texts_run: tuple[Path, Path]) -> None:
    run, _ = texts_run
    found = json.loads((run / "metrics.json").read_text())
    lines = list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))
    right = [line["label"] == line["predicted"] for line in lines]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(right))
    assert np.mean(right) > 0.5, (
        "guessing is right for one in a hundred; with so few drawings seeds and processors lie 0.1 apart"
    )
    sure = [line["unsure"] == "0" for line in lines]
    assert found["sure"]["share"]["value"] == pytest.approx(np.mean(sure))
    info = json.loads((run / "model.json").read_text())
    for line in lines:
        letters = json.loads(line["letters"])
        assert "".join(letter for letter, _ in letters) == line["predicted"]
        product = np.prod([share for _, share in letters])
        assert float(line["confidence"]) == pytest.approx(product ** info["learned"]["power"], abs=1e-5)
    assert {len(line["label"]) for line in lines} == {2, 3} == set(map(int, found["lengths"]))
    named = {line["predicted"] for line in lines if len(line["predicted"]) == 2}
    assert named, "no short text was read as a short one"


def test_the_report_shows_mistakes_letter_by_letter_in_portuguese(texts_run: tuple[Path, Path]) -> None:
    run, _ = texts_run
    page = (run / "report.html").read_text(encoding="utf-8")
    for text in ("Letra por letra", "As letras mais confundidas", "CAPTCHAs dos outros"):
        assert text in page
    assert (run / "plots" / "heatmaps.png").stat().st_size > 5000
    assert json.loads((run / "metrics.json").read_text())["confused"], "nothing confused: the example is too easy"
    assert (run / "plots" / "confusion.png").exists()
    assert 'pipeline_tag: "image-to-text"' in (run / "model-card.md").read_text(encoding="utf-8")


def test_predict_tells_the_text_each_letter_and_what_it_is_unsure_of(
    texts_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    run, data = texts_run
    some = sorted(data.iterdir())[:20]
    done = mirante("predict", run, *some, "--format", "json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["path"] for answer in answers] == [str(path) for path in some]
    assert sum(answer["text"] == path.stem.partition("_")[0] for answer, path in zip(answers, some, strict=True)) > 12
    limit = json.loads((run / "model.json").read_text())["learned"]["confidence_threshold"]
    for answer in answers:
        assert answer["text"] == "".join(letter for letter, _ in answer["letters"])
        assert answer["unsure"] == (answer["confidence"] < limit) or abs(answer["confidence"] - limit) < 1e-5
    lines = list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))
    hard = data / min(lines, key=lambda line: float(line["confidence"]))["path"]  # of the images it was tested on
    assert Model(run).predict(hard).unsure
    table = mirante("predict", run, hard, "--lang", "pt").stdout
    assert "em dúvida" in table and "Letra menos certa" in table
    assert Model(run).predict(some[0]).text == answers[0]["text"]
    lines = list(csv.reader(mirante("predict", run, some[0], "--format", "csv").stdout.splitlines()))
    assert lines[0] == ["path", "text", "confidence", "unsure", "letters"] and lines[1][1] == answers[0]["text"]


def test_a_run_of_texts_is_judged_again_and_on_other_images(
    texts_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    run, _ = texts_run
    before = json.loads((run / "metrics.json").read_text())
    assert mirante("evaluate", run, "--lang", "pt").returncode == 0
    assert json.loads((run / "metrics.json").read_text())["accuracy"] == before["accuracy"]
    other = draw_texts(tmp_path / "other", 60, seed=5)
    done = mirante("evaluate", run, other, "--format", "json")
    assert json.loads(done.stdout)["images"] == 60
    (other / "zz.png").write_bytes(next(other.iterdir()).read_bytes())
    done = mirante("evaluate", run, other)
    assert done.returncode == 2 and "'z'" in done.stderr and "4abdÅ" in done.stderr


def test_what_only_classes_have_is_refused(
    texts_run: tuple[Path, Path], shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    run, data = texts_run
    for words in (
        ["train", data, "--task", "read", "--folds", "5"],
        ["train", data, "--task", "read", "--sensitivity", "0.9"],
        ["train", data, "--task", "read", "--length", "2"],
        ["train", data, "--task", "read", "--model", "timm:tf_efficientnet_lite0"],
        ["predict", run, data, "--coverage", "95%"],
        ["predict", run, data, "--threshold", "0.5"],
        ["see", "heatmap", run, next(data.iterdir())],
    ):
        done = mirante(*words)
        assert done.returncode == 2 and len(done.stderr.splitlines()) <= 2, (words, done.stderr)
    with pytest.raises(
        MiranteError, match="a model for the task read; photos in folders need one for the task classify"
    ):
        Model(run).require_task("classify", "photos in folders")
    done = mirante("photos", "organise", run, data, "--into", data.parent / "sorted")
    assert done.returncode == 2 and "one of its classes" in done.stderr and not (data.parent / "sorted").exists()


def test_a_worker_of_a_cluster_writes_texts_with_their_letters(texts_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = texts_run
    model = (run / "model.onnx").read_bytes()
    (tmp_path / "broken.png").write_bytes(b"junk")
    words = (str(data / "*_1?.png"), str(tmp_path / "broken.png"))
    plan = make_plan(str(tmp_path / "out"), words, words, hashlib.sha256(model).hexdigest(), None, None, 8)
    done = [answer_part(Order(str(tmp_path / "out"), plan, model), number) for number in range(plan.parts)]
    assert sum(one.rows for one in done) == 11 and sum(one.failed for one in done) == 1
    reader = Model(run)
    *rows, broken = pq.read_table(
        tmp_path / "out", columns=["path", "text", "confidence", "letters", "error"]
    ).to_pylist()
    for row in rows:
        reading = reader.predict(row["path"])
        assert (row["text"], row["error"]) == (reading.text, None)
        assert row["confidence"] == pytest.approx(reading.confidence, abs=1e-5)
        assert "".join(one["letter"] for one in row["letters"]) == reading.text
    assert broken["text"] is None and broken["error"]


def test_too_long_a_text_is_named(tmp_path: Path, mirante: Command) -> None:
    data = draw_texts(tmp_path / "tags", 30, 2, 3)
    done = mirante("train", data, "--task", "read", "--length", "2")
    assert done.returncode == 2 and "more than --length 2" in done.stderr and ".png" in done.stderr


def test_a_table_names_the_texts_and_the_same_text_stays_on_one_side(tmp_path: Path) -> None:
    data = draw_texts(tmp_path / "tags", 120, 2, 2)
    rows = [f"{path.name},{path.stem.partition('_')[0]}" for path in sorted(data.iterdir())]
    (data / "list.csv").write_text("\n".join(["path,plate", *rows]), encoding="utf-8")
    opened = Dataset.open(data / "list.csv", task="read", label_column="plate", length=5)
    assert opened.names == [row.partition(",")[2] for row in rows]
    assert opened.targets.shape == (120, 5) and opened.classes == (*sorted(LETTERS), NO_CHARACTER)
    sides: dict[str, set[str]] = {}
    for text, split in zip(opened.names, opened.splits.tolist(), strict=True):
        sides.setdefault(text, set()).add(split)
    assert all(len(one) == 1 for one in sides.values()) and {"train", "val", "test"} == set().union(*sides.values())
    by_name = Dataset.open(data, task="read")
    assert sorted(by_name.names) == sorted(opened.names)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12), min_size=1, max_size=8))
def test_texts_survive_being_numbers(texts: list[str]) -> None:
    alphabet = (*sorted(set("".join(texts))), NO_CHARACTER)
    numbers = encode("", texts, alphabet, 12)
    assert numbers.shape == (len(texts), 12) and decode(numbers, alphabet) == texts


def test_a_text_is_right_whichever_place_says_that_there_is_no_character(tmp_path: Path) -> None:
    data = draw_texts(tmp_path / "texts", 12, shortest=2, longest=2)
    dataset = Dataset.open(data, task="read", length=3)
    wanted = dataset.targets[:, [0, 2, 1]]  # a letter, nothing, a letter: the same text
    logits = np.full((*wanted.shape, len(dataset.classes)), -4, np.float32)
    np.put_along_axis(logits, wanted[:, :, None], 4, axis=2)
    logits[:, 0] *= 2  # its first letter is the surest
    info = model_info(dataset.classes, (20, 30, 1), "8C3-ATT", "squash", 3)
    rows = np.arange(len(wanted))
    info = calibrate(Output({"logits": logits}), rows, dataset, info)
    found = predict(Output({"logits": logits, **TASK.from_logits(logits, info)}), rows, dataset, info)
    assert found.right.all() and [row.predicted for row in found] == [row.label for row in found]
    assert found.predicted.tolist() == dataset.targets.tolist()
    assert (found.probabilities[:, 0] > found.probabilities[:, 1]).all()
    assert (found.confidences > 0.9).all(), "calibrated as if every text was wrong"


@pytest.mark.parametrize(
    ("line", "characters", "mirror"),
    [("8C3-ATT", 4, False), ("W2-8B-ATT-D0.5-12N", 3, False), ("8C3-MP2-16N", 4, False), ("8C3same-ATT", 0, True)],
)
def test_attention_in_torch_and_in_the_graph_are_one(line: str, characters: int, mirror: bool, tmp_path: Path) -> None:
    shape, classes = (20, 30, 1), tuple("abcde") + (("",) if characters else ())
    output = (*([characters] if characters else []), len(classes))
    torch.manual_seed(0)
    network = build_network(line, shape, output, mirror)
    for module in network.modules():  # as if it had learned where to look
        if hasattr(module, "score"):
            torch.nn.init.normal_(module.score.weight)
    layers = parse_layers(line, shape, output)
    befores = [shape, *(layer.output for layer in layers)]
    counted = sum(parameters(layer, before) for layer, before in zip(layers, befores, strict=False))
    held = sum(one.numel() for name, one in network.state_dict().items() if "batches" not in name)
    assert counted == held
    learned = {"temperature": 1.3, **({"power": 0.7} if characters else {})}
    info = model_info(classes, shape, line, "squash", characters, mirror, **learned)
    write_onnx(build_onnx(network, info), info, tmp_path / "model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (7, *shape), np.uint8)
    assert largest_difference(network, info, tmp_path / "model.onnx", images) < 1e-5
    if characters:
        found = Model(tmp_path / "model.onnx").run(images)
        assert found.probabilities.shape == (7, characters, 6)
        assert found.values["confidence"] == pytest.approx(found.probabilities.max(2).prod(1) ** 0.7, abs=1e-5)


def test_sure_means_one_mistake_in_a_hundred() -> None:
    confidences = np.linspace(1, 0, 1001)
    right = np.ones(1001, bool)
    right[[150, 300]] = False
    right[500:] = False
    limit = fit_confidence_threshold(confidences, right)
    above = confidences >= limit
    assert (~right[above]).mean() <= 0.01 and (~right[confidences >= limit - 0.002]).mean() > 0.009
    assert fit_confidence_threshold(confidences[:50], right[:50]) == 0.99


def test_images_are_shown_at_a_size_at_which_letters_can_be_told() -> None:
    def size(height: int, width: int, characters: int) -> tuple[int, int]:
        return text_size(np.array([[height, width]]), characters, 320)

    assert size(60, 200, 5) == (30, 100)
    assert size(1000, 2000, 5) == (50, 100)
    assert size(24, 90, 8) == (24, 90)
    assert max(size(100, 4000, 40)) == 320


def test_what_a_text_model_cannot_be_used_for_is_said_in_a_sentence(
    texts_run: tuple[Path, Path], tmp_path: Path
) -> None:
    run, _ = texts_run
    with pytest.raises(
        RunError, match="a model for the task read; these pages need one that answers one of its classes"
    ):
        open_run(run)
    shutil.copytree(run, tmp_path / "run")
    table = tmp_path / "run" / "predictions.csv"
    header, first, *rest = table.read_text(encoding="utf-8").splitlines()
    path, _, *cells = first.split(",")
    table.write_text("\n".join([header, ",".join([path, "?", *cells]), *rest]), encoding="utf-8")
    with pytest.raises(RunError, match="damaged; mirante evaluate"):
        Run(tmp_path / "run").predictions()


def test_a_model_that_reads_texts_is_watched_in_use(
    texts_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = texts_run
    # of the texts that it was tested on, as often as there: those that it was trained on it reads better
    new = draw_texts(tmp_path / "new", 150, seed=9, texts=list(Run(run).predictions().labels))
    done = mirante("predict", run, new, "--log", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    paths = sorted(new.iterdir())
    answers = list(Model(run).predict_many(paths))
    truth = tmp_path / "truth.csv"
    lines = [f"new/{path.name},{path.stem.partition('_')[0]}\n" for path in paths]
    truth.write_text("path,label\n" + "".join(lines), encoding="utf-8")
    found = monitor(run, tmp_path / "log", labels=truth)
    right = np.mean([one.text == path.stem.partition("_")[0] for one, path in zip(answers, paths, strict=True)])
    assert not found.alarm and found.truth is not None and found.truth.accuracy.value == pytest.approx(right)
    assert found.truth.estimate.low <= right <= found.truth.estimate.high and not found.truth.unknown
    assert [(one.name, one.now.value) for one in found.kinds] == [
        ("unsure", pytest.approx(np.mean([one.unsure for one in answers])))
    ]
    rows, _ = read_log(tmp_path / "log")
    assert sorted(rows.answers.tolist()) == sorted(one.text for one in answers) and rows.probabilities.shape == (150, 0)
    page = tmp_path / "page.html"
    done = mirante("monitor", run, tmp_path / "log", "--report", page, "--lang", "pt")
    assert done.returncode == 0 and "em dúvida" in page.read_text(encoding="utf-8")
