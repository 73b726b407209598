"""A model in use: its log, and what is found in it. Real processes, real Parquet files, real changes of real pictures."""

from __future__ import annotations

import csv
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Command, draw_shape, model_info, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from test_photos_learn import rings
from test_serving import serving, wait

from mirante import Run
from mirante.errors import DataError, RequestError
from mirante.model.last_layer import read_head
from mirante.monitoring.drift import LIMIT, PERIODS, Images, Reference, e_value, evidence
from mirante.monitoring.estimates import accuracy, class_mix
from mirante.monitoring.log import Log
from mirante.monitoring.log_reader import Rows, _read, read_log
from mirante.monitoring.monitor import monitor
from mirante.monitoring.pictures import Sample
from mirante.monitoring.truth import compare
from mirante.photos.library import Library
from mirante.prediction.onnx_model import Output
from mirante.prediction.sketch import sketch


def output(count: int, seed: int = 0, classes: int = 3) -> Output:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes), count).astype(np.float32)
    features = rng.normal(size=(count, 100)).astype(np.float32)
    return Output({"logits": np.log(shares), "probabilities": shares, "features": features})


def digests(count: int, seed: int = 0) -> list[str]:
    return [hashlib.sha256(f"{seed} {number}".encode()).hexdigest() for number in range(count)]


def logged(folder: Path) -> int:
    """Return how many rows a log has by now."""
    try:
        return len(read_log(folder)[0])
    except DataError:
        return 0


def add(log: Log, count: int, seed: int = 0, subgroup: str = "") -> Output:
    found = output(count, seed)
    answers = [("abc"[row.argmax()], float(row.max()), False) for row in found.probabilities]
    log.add(digests(count, seed), found, answers, subgroup)
    return found


def test_a_log_holds_what_was_answered_and_never_a_picture(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", "v1")
    first, second = add(log, 5, 1, "north"), add(log, 3, 2)
    log.flush()
    read = read_log(tmp_path / "log")[0]  # also while it is written
    assert len(read) == 8 and list(tmp_path.rglob("*.arrows"))
    log.close()
    (file,) = (tmp_path / "log").iterdir()
    assert file.suffix == ".parquet" and pq.read_table(file).num_rows == 8
    read, _ = read_log(tmp_path / "log")
    assert np.array_equal(read.probabilities, np.concatenate([first.probabilities, second.probabilities]))
    wanted = sketch(np.concatenate([first.values["features"], second.values["features"]]))
    assert wanted.shape == (8, 64) and np.array_equal(read.sketches, wanted.astype(np.float32))
    assert read.digests.tolist() == [one[:32] for one in (*digests(5, 1), *digests(3, 2))]
    assert read.subgroups.tolist() == ["north"] * 5 + [""] * 3 and set(read.versions.tolist()) == {"v1"}
    assert np.all(np.abs(read.times - time.time()) < 60)


WRITER = """
import sys, os, time
sys.path.insert(0, {tests!r})
from test_monitoring import add
from mirante.monitoring.log import Log
log = Log({folder!r}, "v1")
for number in range(1000):
    add(log, 7, number)
    print(number, flush=True)
    time.sleep(0.01)
"""


def test_a_killed_process_loses_nothing_that_it_had_logged(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    code = WRITER.format(tests=str(Path(__file__).parent), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(300):  # three seconds, of which at most the last may be lost
        line = process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    written = int(line) + 1
    assert len(read_log(folder)[0]) >= 7 * (written - 120)
    (stream,) = folder.glob("*.arrows")
    with stream.open("rb+") as file:  # the last batch was cut off in the middle
        file.truncate(stream.stat().st_size - 40)
    whole = len(read_log(folder)[0])
    assert whole >= 7 * (written - 240) and whole % 7 == 0
    before = whole
    beside = Log(folder, "v1")  # whoever comes next finishes it
    assert not list(folder.glob("*.arrows")) and len(read_log(folder)[0]) == before
    add(beside, 2, 5000)
    beside.flush()
    third = Log(folder, "v1")  # and leaves alone what is still written
    assert len(list(folder.glob("*.arrows"))) == 1
    add(third, 2, 5001)
    beside.close()
    third.close()
    assert len(read_log(folder)[0]) == before + 4 and {one.suffix for one in folder.iterdir()} == {".parquet"}


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from test_monitoring import add
from mirante.monitoring.log import Log
log = Log({folder!r}, "v1")
add(log, 5, 0)
log.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for number in range(1, 9):
    add(log, 50, number)
log.flush()
print(log.missing)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are of Unix")
def test_a_full_disk_costs_rows_and_never_an_answer(tmp_path: Path) -> None:
    code = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "log"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "400", done.stderr
    assert done.stderr.count("the log cannot be written") == 1
    assert len(read_log(tmp_path / "log")[0]) == 5


def test_what_cannot_be_read_for_a_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "log"
    log = Log(folder, "v1")
    add(log, 60)
    log.flush()
    log._abandon()  # as a process that is killed leaves it
    (stream,) = folder.glob("*.arrows")
    opened = Path.open

    def failing(self: Path, *words: object, **named: object) -> object:
        if self.suffix == ".arrows":
            raise OSError(5, "Input/output error")
        return opened(self, *words, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        Log(folder, "v1").close()
        assert stream.exists()
    Log(folder, "v1").close()
    assert not stream.exists() and logged(folder) == 60


def test_rows_are_counted_by_their_own_time_and_while_a_file_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    log = Log(folder, "v1")
    add(log, 60)
    log.close()
    (file,) = folder.glob("*.parquet")
    os.utime(file, (1, 1))  # as copied by a program that does not keep the time
    assert len(read_log(folder, since=time.time() - 3600)[0]) == 60
    with pytest.raises(DataError, match="in that time"):
        read_log(folder, since=time.time() + 3600)
    stream = file.with_suffix(".arrows")  # which was there when the folder was listed
    (found,) = _read(stream, [stream], None)
    assert found.num_rows == 60 and not list(_read(stream, [stream, file], None))
    (tmp_path / "logs").mkdir()
    folder.rename(tmp_path / "logs" / "flowers")
    with pytest.raises(DataError, match="holds some: flowers"):
        read_log(tmp_path / "logs")


def test_a_log_leaves_alone_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(6):
        Image.new("L", (9, 9), number).save(tmp_path / "images" / f"photo{number}.png")
    Image.new("L", (9, 9)).save(tmp_path / "images" / f"{'a' * 32}.png")  # named as one that was kept
    table = pa.table({"a": [1, 2, 3]})
    pq.write_table(table, tmp_path / "mine.parquet")
    with pa.ipc.new_stream(str(tmp_path / "mine.arrows"), table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "other.arrows").write_bytes(b"something else")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    log, sample = Log(tmp_path, "v1", megabytes=0), Sample(tmp_path, 2)
    for number in range(3):
        add(log, 60, number)
        log.close()
        sample.add(digests(1, number), [np.zeros((4, 4, 3), np.uint8)], [number / 3])
    Sample(tmp_path, 2)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("wrong", ["confidence", "ood_score", "probabilities", "time"])
def test_a_row_without_a_number_is_passed_over_and_said(
    used: Path, tmp_path: Path, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = (used / "log-new").glob("*.parquet")
    table = pq.read_table(file)
    place = table.column_names.index(wrong)
    before = table[wrong].to_pylist()
    strange = {"probabilities": [float("nan")] * 3, "time": None}.get(wrong, float("nan"))
    values = [None, strange, *before[2:]]
    pq.write_table(
        table.set_column(place, wrong, pa.array(values, table.schema.field(wrong).type)), tmp_path / file.name
    )
    rows, others = read_log(tmp_path)
    assert (len(rows), others) == (118, 0) and np.isfinite(rows.confidences).all()
    assert rows.digests.tolist() == table["digest"].to_pylist()[2:]
    assert np.allclose(rows.probabilities, np.array(table["probabilities"].to_pylist()[2:]))
    assert "rows passed over, in which a number is missing: 2" in caplog.text


def test_a_row_with_an_answer_that_is_no_class_is_passed_over_and_said(
    used: Path, shapes_run: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = (used / "log-new").glob("*.parquet")
    table = pq.read_table(file)
    place = table.column_names.index("answer")
    values = ["moon", *table["answer"].to_pylist()[1:]]
    pq.write_table(table.set_column(place, "answer", pa.array(values)), tmp_path / file.name)
    assert monitor(shapes_run[0], tmp_path).count == 119
    assert "whose answer is no class of the model: 1" in caplog.text


def test_a_log_stays_within_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirante.monitoring.log.ROWS_PER_FILE", 2000)
    log = Log(tmp_path, "v1", megabytes=1)
    for number in range(20):
        add(log, 1000, number)
    log.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2 << 20
    assert read_log(tmp_path)[0].digests[-1] == digests(1000, 19)[-1][:32]  # the newest are there


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such log"):
        read_log(tmp_path / "gone")
    with pytest.raises(DataError, match="nothing has been logged"):
        read_log(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match="nothing has been logged"):
        read_log(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RequestError, match="no log can be written"):
        Log(tmp_path / "file", "v1")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1)), min_size=1, max_size=80), st.integers(1, 20))
def test_the_sample_of_pictures_is_bounded_fair_and_holds_the_strangest(
    tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[int, float]], most: int
) -> None:
    folder = tmp_path_factory.mktemp("sample")
    sample, half = Sample(folder, most), max(1, most // 2)
    known: dict[str, float] = {}
    for number, score in seen:
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        known.setdefault(digest[:32], score)
        sample.add([digest], [np.zeros((4, 4, 3), np.uint8)], [score])
    kept = {file.stem for file in (folder / "images").glob("*.png")}
    fair = set(sorted(known, key=lambda name: int(name[:12], 16))[:half])
    assert fair <= kept and len(kept) <= 2 * half
    strangest = {name for name in known if known[name] > sorted(known.values())[-half:][0]}
    assert kept >= strangest
    again = Sample(folder, most)  # the server was restarted
    assert {file.stem for file in (folder / "images").glob("*.png")} >= fair | strangest
    again.add(["f" * 64], [np.zeros((4, 4, 3), np.uint8)], [-1.0])
    assert {file.stem for file in (folder / "images").glob("*.png")} >= fair | strangest


def test_features_are_what_goes_into_the_last_layer(shapes_run: tuple[Path, Path]) -> None:
    import onnx

    run = Run(shapes_run[0])
    images = np.random.default_rng(0).integers(0, 256, (70, *run.info.shape), np.uint8)  # more than a batch
    found = run.model(features=True).run(images)
    weight, bias = read_head(onnx.load(run.path / "model.onnx"))
    assert np.allclose(found.values["features"] @ weight.T + bias, found.logits, atol=1e-3)
    assert "features" not in run.model().run(images).values


@given(st.floats(1e-12, 1))
def test_evidence_falls_as_images_become_usual(p_value: float) -> None:
    assert e_value(p_value) >= e_value(min(1.0, 1.5 * p_value)) > 0


def test_evidence_is_at_most_one_on_average_while_nothing_changes() -> None:
    possible = np.arange(1, 10_001) / 10_000  # the p-values of 9,999 draws, each as probable as the others
    assert 0.85 < np.mean([e_value(float(one)) for one in possible]) <= 1


def test_an_alarm_is_rare_without_a_change_and_soon_with_one() -> None:
    rng = np.random.default_rng(0)

    def images(count: int, shift: float = 0.0) -> Images:
        sketches = rng.normal(size=(count, 16)) + shift
        return Images(sketches, rng.uniform(0, 1, count), rng.uniform(0.5, 1, count))

    alarms = 0
    for _ in range(12):
        reference = Reference(images(800))
        found = evidence([reference.look(images(60), rng).e_value for _ in range(PERIODS)])
        alarms += max(found) >= LIMIT
        late = evidence(
            [
                *(reference.look(images(60), rng).e_value for _ in range(10)),
                *(reference.look(images(60, 0.5), rng).e_value for _ in range(3)),
            ]
        )
        assert late[-1] >= LIMIT > max(late[:10])
    assert alarms <= 1
    small, wide = 0, rng.normal(size=(64, 64)) * np.linspace(2, 0.05, 64)
    for _ in range(20):  # few test images, of more numbers than there are images
        drawn = [Images(rng.normal(size=(count, 64)) @ wide, rng.uniform(size=count), rng.uniform(0.5, 1, count))
                 for count in (40, *[60] * PERIODS)]  # fmt: skip
        reference = Reference(drawn[0])
        small += max(evidence([reference.look(one, rng).e_value for one in drawn[1:]])) >= LIMIT
    assert small <= 3
    assert evidence([None, 3.0, None, 2.0]) == [0.0, 3.0, 3.0, 8.0]


def test_a_change_is_seen_by_all_images_where_the_test_had_few() -> None:
    rng, wide = np.random.default_rng(3), np.random.default_rng(4).normal(size=(16, 48))

    def drawn(count: int, shift: float = 0.0) -> Images:
        inner = rng.standard_t(4, size=(count, 16)) + shift
        return Images(np.maximum(inner @ wide, 0), rng.beta(2, 5, count), rng.beta(8, 2, count))

    usual, found, of_a_part = [], [], []
    for _ in range(20):
        reference = Reference(drawn(38))
        usual.append(reference.look_once(drawn(80)).p_value)
        changed = drawn(80, 0.6)
        found.append(reference.look_once(changed).p_value)
        of_a_part.append(reference.look(changed, rng).p_value)
    assert sum(one < 0.01 for one in usual) <= 2
    assert sum(one < 0.01 for one in found) >= 18 > sum(one < 0.01 for one in of_a_part)


def test_the_mix_of_classes_and_the_accuracy_are_found_without_labels() -> None:
    rng = np.random.default_rng(0)

    def drawn(count: int, mix: list[float]):  # type: ignore[no-untyped-def]
        targets = rng.choice(3, count, p=mix)
        logits = rng.normal(size=(count, 3))
        logits[np.arange(count), targets] += (
            1.5  # the density of an image given its class, so that what follows is exact
        )
        weights = np.exp(1.5 * logits) / 3
        return targets, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)

    targets, tested = drawn(3000, [1 / 3] * 3)
    truth, now = drawn(3000, [0.7, 0.2, 0.1])
    found = class_mix(now, np.full(3, 1 / 3), tested, targets)
    for one, share in zip(found, np.bincount(truth) / 3000, strict=True):
        assert one.low <= share <= one.high and one.high - one.low < 0.15
    same_targets, same = drawn(3000, [1 / 3] * 3)
    estimate = accuracy(same.max(axis=1), tested.max(axis=1), tested.argmax(axis=1) == targets)
    assert estimate.low <= (same.argmax(axis=1) == same_targets).mean() <= estimate.high
    assert estimate.high - estimate.low < 0.08


@pytest.fixture(scope="module")
def used(shapes_run: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> Path:
    """A folder with 120 new shapes, their blurred copies, and the log of each."""
    folder = tmp_path_factory.mktemp("used")
    rows = []
    for number in range(120):
        kind = ("bar", "cross", "disc")[number % 3]
        picture = draw_shape(kind, 9000 + number)
        for name, one in (("new", picture), ("blurred", picture.filter(ImageFilter.GaussianBlur(3)))):
            (folder / name).mkdir(exist_ok=True)
            one.save(folder / name / f"{number:03}.png")
        rows.append((f"new/{number:03}.png", kind))
    with (folder / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    for name in ("new", "blurred"):
        words = ["predict", str(shapes_run[0]), str(folder / name), "--log", str(folder / f"log-{name}")]
        done = mirante(*words, "--log-subgroup", name, "--keep-images", "20", "--format", "csv")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 121, done.stderr
    return folder


def test_a_log_of_usual_images_is_no_alarm(used: Path, shapes_run: tuple[Path, Path], mirante: Command) -> None:
    words = ["monitor", str(shapes_run[0]), str(used / "log-new"), "--labels", str(used / "truth.csv")]
    done = mirante(*words, "--lang", "en")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "120 images. Nothing says that they look different" in done.stdout and "new: 120 images" in done.stdout
    told = json.loads(mirante(*words, "--format", "json").stdout)
    answers = Run(shapes_run[0]).model().predict_many(sorted((used / "new").iterdir()))
    right = np.mean([one.nearest == ("bar", "cross", "disc")[number % 3] for number, one in enumerate(answers)])
    assert told["images"] == 120 and told["truth"]["images"] == 120
    assert told["truth"]["accuracy"]["value"] == pytest.approx(right)
    assert told["estimated_accuracy"]["low"] <= right <= told["estimated_accuracy"]["high"]
    for one in told["classes"].values():
        assert one["now"]["low"] <= 1 / 3 <= one["now"]["high"]
    assert told["subgroups"]["new"]["images"] == 120


def test_labels_of_a_new_class_count_as_wrong_unless_it_was_said_to_be_none(
    used: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    """With a model that says of half the images that they are none of its classes."""
    run, log = tmp_path / "run", tmp_path / "log"
    shutil.copytree(shapes_run[0], run)
    network = onnx.load(run / "model.onnx")
    info = json.loads(network.metadata_props[0].value)
    info["learned"]["ood_threshold"] = float(np.median(read_log(used / "log-new")[0].ood_scores))
    network.metadata_props[0].value = json.dumps(info)
    onnx.save(network, run / "model.onnx")
    assert mirante("predict", run, used / "new", "--log", log).returncode == 0
    rows, _ = read_log(log)
    kinds = {one: "moon" if number < 60 else "bar" for number, one in enumerate(rows.digests.tolist())}
    (tmp_path / "truth.csv").write_text("path,label\n" + "".join(f"{one},{kind}\n" for one, kind in kinds.items()))
    right = rows.none_of_these[:60].sum() + (rows.answers[60:] == "bar").sum()
    assert 0 < rows.none_of_these[:60].sum() < 60
    words = ["monitor", run, log, "--labels", tmp_path / "truth.csv"]
    truth = json.loads(mirante(*words, "--format", "json").stdout)["truth"]
    assert truth["accuracy"]["value"] == pytest.approx(right / 120) and truth["unknown_labels"] == {"moon": 60}
    for lang, sentence in (
        ("en", "count as wrong, unless the answer was none of these: moon (60)."),
        ("pt", "contam como erro, a não ser que a resposta tenha sido nenhuma destas: moon (60)."),
    ):
        assert sentence in mirante(*words, "--lang", lang).stdout


def test_images_that_are_all_of_a_new_class_have_a_share_that_is_right(tmp_path: Path) -> None:
    rows, info = answered(["cat"] * 3, [False, True, False]), model_info(("cat", "dog"), (8, 8, 3), "8N")
    table = tmp_path / "truth.csv"
    listed = [f"{one},owl" for one in rows.digests.tolist()]
    table.write_text(
        "\n".join(["path,label", *listed, f"{'f' * 32},dog"])
    )  # and one of a known class that is not in the log
    judged, right, is_known, unknown = compare(rows, table, info, "run")
    assert (len(judged), right.tolist(), is_known.any(), unknown) == (3, [False, True, False], False, {"owl": 3})
    table.write_text("\n".join(["path,label", *listed]))
    with pytest.raises(DataError, match="none of its labels is one that run knows"):
        compare(rows, table, info, "run")


def test_what_is_answered_is_logged_when_the_reader_goes_away(
    used: Path, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "mirante", "predict", shapes_run[0], used / "new", "--log", tmp_path / "log"]
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=unbuffered)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    assert logged(tmp_path / "log") > 1  # all of the images that were answered together, though none could be printed


def answered(answers: list[str], none: list[bool]) -> Rows:
    count = len(answers)
    digests, zeros = np.array([f"{number:032x}" for number in range(count)]), np.zeros(count, np.float32)
    empty = np.zeros((count, 0), np.float32)
    texts = np.full(count, "")
    return Rows(zeros, digests, texts, np.array(answers), zeros, np.array(none), zeros, empty, empty, texts)


@pytest.mark.parametrize(
    ("task", "classes", "answers", "labels", "right"),
    [
        ("classify", ("0", "1"), ["1", "0", "1"], ["1.0", "0.0", "other"], [True, True, False]),
        ("classify", ("1.0", "3", "a"), ["1.0", "3", "a"], ["1.0", "3", "1.0"], [True, True, False]),
        ("classify", ("maçã", "uva"), ["maçã", "uva"], ["mac\u0327a\u0303", " uva "], [True, True]),
        ("tree", ("a/b", "a/c"), ["a/b", "a/b"], ["a / b/", "a/c"], [True, False]),
        ("classify", ("a / b", "c"), ["a / b", "c"], ["a / b", "c "], [True, True]),
        ("tree", ("a/b", "a/c"), ["a/b", "a/b"], ["a/b", "a/"], "is a branch of the tree"),
        ("tree", ("a/b", "a/c"), ["a/b", "a/b"], ["a/b", "a"], "is a branch of the tree"),
    ],
)
def test_labels_that_came_later_are_read_as_the_classes_are_written(
    tmp_path: Path, task: str, classes: tuple[str, ...], answers: list[str], labels: list[str], right: list[bool] | str
) -> None:
    rows = answered(answers, [False] * len(answers))
    lines = [f"{digest},{label}\n" for digest, label in zip(rows.digests, labels, strict=True)]
    (tmp_path / "truth.csv").write_text("path,label\n" + "".join(lines), encoding="utf-8")
    info = replace(model_info(classes, (8, 8, 3), "8N"), task=task)
    if isinstance(right, str):
        with pytest.raises(DataError, match=right):
            compare(rows, tmp_path / "truth.csv", info, "run")
    else:
        assert compare(rows, tmp_path / "truth.csv", info, "run")[1].tolist() == right


@pytest.mark.parametrize(("lang", "sentence"), [("en", "They look different"), ("pt", "Elas são diferentes")])
def test_blurred_images_are_an_alarm(
    used: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path, lang: str, sentence: str
) -> None:
    page = tmp_path / "page.html"
    words = ["monitor", str(shapes_run[0]), str(used / "log-blurred"), "--every", "day", "--since", "1d"]
    done = mirante(*words, "--report", str(page), "--lang", lang)
    assert done.returncode == 3 and sentence in done.stdout, done.stdout + done.stderr
    text = page.read_text(encoding="utf-8")
    assert sentence in text and text.count("data:image/png;base64,") >= 10 and "http" not in text.split("</style>")[1]


def test_a_period_under_way_counts_less_until_it_is_over(
    used: Path, shapes_run: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, today, long = used / "log-blurred", time.time(), 1e9  # seconds, of which none end while this runs
    (now,) = monitor(shapes_run[0], log, every=long).periods
    monkeypatch.setattr(time, "time", lambda: today + long)
    (later,) = monitor(shapes_run[0], log, every=long).periods
    assert later.p_value == now.p_value and later.evidence == pytest.approx(24 * now.evidence)


def test_labels_that_contradict_the_estimate_are_said_to(
    used: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    lines = (used / "truth.csv").read_text().splitlines()
    other = {"bar": "cross", "cross": "disc", "disc": "bar"}
    wrong = [f"{used / line.partition(',')[0]},{other[line.partition(',')[2]]}" for line in lines[1:]]
    (tmp_path / "wrong.csv").write_text("\n".join(["path,label", *wrong]))
    words = ["monitor", str(shapes_run[0]), str(used / "log-new"), "--labels", str(tmp_path / "wrong.csv")]
    told = json.loads(mirante(*words, "--format", "json").stdout)
    assert not told["estimate_trusted"] and told["truth"]["accuracy"]["high"] < told["truth"]["estimate"]["low"]
    assert "the labels that came later contradict it" in mirante(*words, "--lang", "en").stdout
    (tmp_path / "named.csv").write_text("caminho;label\nx.png;bar\n")
    done = mirante(*words[:-1], tmp_path / "named.csv", "--lang", "en")
    assert done.returncode == 2 and "Call the column path." in done.stderr and "--path-column" not in done.stderr


def test_kept_pictures_are_what_the_network_saw(used: Path, shapes_run: tuple[Path, Path]) -> None:
    model = Run(shapes_run[0]).model()
    kept = sorted((used / "log-new" / "images").iterdir())
    assert 10 <= len(kept) <= 20
    seen = {hashlib.sha256(file.read_bytes()).hexdigest()[:32]: file for file in (used / "new").iterdir()}
    for file in kept:
        assert np.array_equal(np.asarray(Image.open(file)), model.pixels(seen[file.stem]).squeeze())


def test_what_cannot_be_watched_is_said_in_a_sentence(
    used: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    run = str(shapes_run[0])
    (tmp_path / "gone.csv").write_text("path,label\ngone.png,bar\n")
    first = hashlib.sha256((used / "new" / "000.png").read_bytes()).hexdigest()
    (tmp_path / "wrong.csv").write_text(f"path,label\n{first},owl\n")
    (tmp_path / "case.csv").write_text(f"path,label\n{first},Bar\n")
    (tmp_path / "twice.csv").write_text(f"path,label\n{first},bar\n{first[:32]},disc\n")
    (tmp_path / "other.csv").write_text(f"path,label\n{'0' * 64},bar\n")
    log = str(used / "log-new")
    for words, sentence in (
        (["monitor", run, str(tmp_path)], "nothing has been logged there yet"),
        (["monitor", run, str(tmp_path / "gone")], "no such log"),
        (["monitor", str(tmp_path), log], "not a Mirante run"),
        (["monitor", run, log, "--labels", str(tmp_path / "wrong.csv")], "none of its labels is one that"),
        (
            ["monitor", run, log, "--labels", str(tmp_path / "case.csv")],
            "'Bar' is not a class of the model, but 'bar' is",
        ),
        (["monitor", run, log, "--labels", str(tmp_path / "twice.csv")], "is 'disc' here and something else before"),
        (["monitor", run, log, "--labels", str(tmp_path / "gone.csv")], "no file at gone.png"),
        (["monitor", run, log, "--labels", str(tmp_path / "other.csv")], "none of its images is in the log"),
        (["monitor", run, log, "--every", "5s"], "is not a stretch of time"),
        (["monitor", run, log, "--report", "page.txt"], "must end in .html"),
        (["predict", run, str(used / "new"), "--keep-images", "3"], "--keep-images needs --log"),
        (["serve", run, "--monitor-every", "5m"], "--monitor-every needs --log"),
        (["predict", run, str(used / "new"), "--log", str(tmp_path / "wrong.csv")], "no log can be written there"),
        (["predict", run, str(used / "new"), "--log", str(tmp_path / "x"), "--log-megabytes", "0"], "log-megabytes"),
    ):
        done = mirante(*words, "--lang", "en")
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_class_that_no_test_image_shows_is_not_told_as_if_it_were_known(
    used: Path, shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    seen = rings(tmp_path / "photos", 8)
    library = Library(tmp_path / "photos")
    library.answer(seen, "ring", "chosen", None, "rings")
    library.close()
    assert mirante("photos", "learn", run, tmp_path / "photos").returncode == 0
    shutil.copytree(used / "new", tmp_path / "new")
    assert mirante("predict", run, tmp_path / "new", "--log", tmp_path / "without").returncode == 0
    found = monitor(run, tmp_path / "without")
    assert set(found.mix) == {"bar", "cross", "disc"}
    assert all(one.now.low <= 1 / 3 <= one.now.high for one in found.mix.values())
    rings(tmp_path / "more", 20)
    for path in (tmp_path / "more").iterdir():
        path.rename(tmp_path / "new" / path.name)
    assert mirante("predict", run, tmp_path / "new", "--log", tmp_path / "with").returncode == 0
    found = monitor(run, tmp_path / "with")
    assert found.untested == ("ring",) and not found.is_trusted
    assert found.to_dict()["untested_classes"] == ["ring"]
    told = mirante("monitor", run, tmp_path / "with", "--lang", "en").stdout
    assert "no test image shows ring, which it answers too" in told, told


def test_answers_of_another_model_are_left_out(used: Path, shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    log = Log(tmp_path, "another")
    add(log, 30)
    log.close()
    with pytest.raises(DataError, match="other versions of the model"):
        monitor(shapes_run[0], tmp_path)
    for file in (used / "log-new").glob("*.parquet"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = monitor(shapes_run[0], tmp_path)
    assert (found.count, found.others) == (120, 30) and not found.alarm


def test_the_earlier_model_that_answered_is_named(used: Path, shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(shapes_run[0], run)
    shutil.copytree(shapes_run[0], run / "earlier" / "1")
    with (run / "model.onnx").open("ab") as file:  # another one, since
        file.write(
            onnx.helper.make_model(onnx.helper.make_graph([], "", [], []), doc_string="later").SerializeToString()
        )
    with pytest.raises(DataError, match=r"none of these rows is of the model in use; .*earlier.1 answered last"):
        monitor(run, used / "log-new")
    assert monitor(run / "earlier" / "1", used / "log-new").count == 120


def test_an_image_that_is_named_twice_is_one_image(
    used: Path, shapes_run: tuple[Path, Path], mirante: Command, tmp_path: Path
) -> None:
    image = used / "new" / "000.png"
    done = mirante("predict", shapes_run[0], image, image, used / "new" / "001.png", image, "--log", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    wanted = [hashlib.sha256((used / "new" / name).read_bytes()).hexdigest()[:32] for name in ("000.png", "001.png")]
    assert sorted(read_log(tmp_path / "log")[0].digests.tolist()) == sorted([wanted[0]] * 3 + [wanted[1]])
    found = monitor(shapes_run[0], tmp_path / "log")
    assert found.count == 2 and not found.mix, "two images say nothing about the mix"
    with pytest.raises(DataError, match="nothing has been logged there in that time"):
        monitor(shapes_run[0], tmp_path / "log", since=-60)


def test_an_estimate_is_no_surer_than_the_test() -> None:
    sure = np.full(90, 0.9999)
    found = accuracy(sure, sure, np.ones(90, bool))
    assert 0.96 < found.low < 0.985 and found.high == 1
    assert np.isnan(accuracy(sure, sure[:0], np.ones(0, bool)).value)


def test_a_run_with_folds_is_watched_too(used: Path, mirante: Command, tmp_path: Path) -> None:
    data = write_shapes(tmp_path / "shapes", 60)
    for recipe, compared in ((["--recipe", "transfer"], True), (["--model", "8C3-MP2-16N", "--epochs", "2"], False)):
        run = tmp_path / f"run {compared}"
        done = mirante("train", data, *recipe, "--folds", "3", "--out", run, "--lang", "en")
        assert done.returncode == 0, done.stderr
        for name, alarm in (("new", False), ("blurred", True)):
            log = tmp_path / f"log {compared} {name}"
            assert mirante("predict", run, used / name, "--log", log).returncode == 0
            words = ["monitor", run, log, "--labels", used / "truth.csv"]
            words = words if name == "new" else words[:-2]
            done = mirante(*words, "--lang", "en")
            found = monitor(run, log)
            if compared:  # a backbone has seen none of the images, so they look as new ones do
                assert found.alarm == alarm and done.returncode == 3 * alarm, done.stdout
                assert found.is_trusted != alarm
            else:  # a network that was trained on all of them
                assert found.p_value is None and not found.alarm and not found.is_trusted
                assert "cannot be compared with the test images" in done.stdout and "Do not trust" in done.stdout
            assert found.tested.value == pytest.approx(Run(run).metrics["accuracy"]["value"])
        assert (
            "120 images have a label now"
            in mirante(
                "monitor", run, tmp_path / f"log {compared} new", "--labels", used / "truth.csv", "--lang", "en"
            ).stdout
        )


def test_a_decision_threshold_is_part_of_what_is_watched(photographed: Path, mirante: Command, tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    words = ["--labels", "labels.csv", "--group-column", "person", "--sensitivity", "95%", "--positive", "disc"]
    layers = ["--model", "8C3-MP2-16N", "--epochs", "2", "--folds", "3"]
    done = mirante("train", photographed, *words, *layers, "--out", run, "--lang", "en")
    assert done.returncode == 0, done.stderr
    assert mirante("predict", run, photographed / "bar", photographed / "disc", "--log", log).returncode == 0
    rows, _ = read_log(log)
    model = Run(run).model()
    for path in sorted((photographed / "bar").iterdir())[:9]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
        row = rows.only(rows.digests == digest)
        answer = model.predict(path)
        assert row.answers[0] == answer.nearest and row.confidences[0] == pytest.approx(answer.nearest_confidence)
    found, table = monitor(run, log), Run(run).predictions()
    assert found.answers["disc"].then.value == pytest.approx(np.mean(table.given == 1))
    assert found.answers["disc"].now.value == pytest.approx(np.mean(rows.answers == "disc"))
    assert found.tested.value == pytest.approx(np.mean(table.given == table.targets))


def monitored(text: str, model: str) -> dict[str, float]:
    """Return what /metrics says of the log of a model: name, with further labels → value."""
    lines = re.findall(r"^mirante_monitor_(\w+){([^}]*)} (\S+)$", text, re.M)
    own = f'model="{model}"'
    return {
        " ".join([name, *(one for one in labels.split(",") if one != own)]): float(value)
        for name, labels, value in lines
        if own in labels.split(",")
    }


def test_the_server_logs_and_counts_its_answers(used: Path, shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    files = sorted((used / "new").iterdir())[:40]
    words = ["--log", str(tmp_path), "--keep-images", "4", "--monitor-every", "2s"]
    with serving(shapes_run[0], *words) as server:
        name = server.ask("GET", "/v1/models")[2]["models"][0]["name"]
        for file in files:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            headers = {"content-type": "image/png", "mirante-subgroup": "São Paulo".encode().decode("latin-1")}
            connection.request("POST", f"/v1/models/{name}/predict", file.read_bytes(), headers)
            assert connection.getresponse().status == 200
            connection.close()
        counted = server.ask("GET", "/metrics")[2]
        wait(lambda: logged(tmp_path / name) == 40)  # while it runs
        watched: dict[str, float] = {}

        def looked() -> bool:
            watched.update(monitored(server.ask("GET", "/metrics")[2], name))
            return watched.get("images") == 40

        wait(looked)
        server.process.terminate()
        server.process.wait(30)
    answers = [line for line in counted.splitlines() if line.startswith("mirante_answers_total")]
    assert sum(float(line.split()[-1]) for line in answers) == 40
    assert f'mirante_confidence_count{{model="{name}"}} ' in counted
    found = monitor(shapes_run[0], tmp_path / name, every=86_400)
    assert watched["alarm"] == found.alarm and watched["trusted"] == found.is_trusted
    assert watched["evidence"] == pytest.approx(found.periods[-1].evidence)
    assert watched['accuracy bound="value"'] == pytest.approx(found.accuracy.value)
    assert watched['accuracy bound="low"'] == pytest.approx(found.accuracy.low)
    assert watched['share kind="none of these"'] == pytest.approx(found.kinds[0].now.value)
    assert found.count == 40 and found.subgroups["São Paulo"][0] == 40
    assert len(list((tmp_path / name / "images").iterdir())) <= 4
    wanted = {hashlib.sha256(file.read_bytes()).hexdigest()[:32] for file in files}
    assert set(read_log(tmp_path / name)[0].digests.tolist()) == wanted
    assert {one.suffix for one in (tmp_path / name).iterdir()} == {".parquet", ""}
