"""The same answer everywhere: on the command line, in Python, from any form of an image, from model.onnx alone."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape
from PIL import Image

from mirante.errors import ImageError, RequestError, RunError
from mirante.prediction.model import Model


def test_path_bytes_pil_and_array_give_the_same_answer(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    classifier = Model(run)
    path = data / "disc" / "003.png"
    forms = [path, str(path), path.read_bytes(), Image.open(path), np.asarray(Image.open(path))]
    answers = list(classifier.predict_many(forms))  # type: ignore[arg-type]
    for answer in answers:
        assert np.array_equal(answer.probabilities, answers[0].probabilities)
    assert answers[0].label == "disc" and answers[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert answers[0].confidence >= answers[0].runner_up_confidence


def test_the_onnx_file_alone_is_enough(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = shapes_run
    alone = shutil.copy(run / "model.onnx", tmp_path / "elsewhere.onnx")
    one, other = Model(run).predict(data / "bar/001.png"), Model(alone).predict(data / "bar/001.png")
    assert np.array_equal(one.probabilities, other.probabilities)

    # and without Mirante: ONNX Runtime and the file's own metadata
    import onnxruntime

    session = onnxruntime.InferenceSession(alone)
    about = json.loads(session.get_modelmeta().custom_metadata_map["mirante"])
    pixels = np.asarray(Image.open(data / "bar/001.png"))[None]
    assert pixels.shape[1:] == (about["height"], about["width"], about["channels"])
    probabilities = session.run(["probabilities"], {"images": pixels})[0][0]
    assert np.allclose(probabilities, one.probabilities, atol=1e-6)
    assert about["classes"][probabilities.argmax()] == one.label


def test_predictions_are_those_that_were_evaluated(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    rows = list(csv.DictReader((run / "predictions.csv").open()))
    answers = Model(run).predict_many(data / row["path"] for row in rows)
    for row, answer in zip(rows, answers, strict=True):
        assert row["predicted"] == answer.label
        for name, share in zip(answer.classes, answer.probabilities, strict=True):
            assert float(row[f"probability_{name}"]) == pytest.approx(float(share), abs=1e-5)


def test_nothing_on_the_way_to_an_answer_imports_torch(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    code = (
        "import sys; from mirante.cli import main\n"
        f"try: main(['predict', {str(run)!r}, {str(data / 'bar')!r}, '--format', 'json'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'matplotlib', 'sklearn', 'scipy', 'onnx', 'joblib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_table_csv_and_json_say_the_same(shapes_run: tuple[Path, Path], mirante: Command) -> None:
    run, data = shapes_run
    table = mirante("predict", run, data / "disc", "--lang", "pt")
    rows = list(csv.DictReader(io.StringIO(mirante("predict", run, data / "disc", "--format", "csv").stdout)))
    objects = [
        json.loads(line) for line in mirante("predict", run, data / "disc", "--format", "json").stdout.splitlines()
    ]
    assert len(rows) == len(objects) == len(table.stdout.splitlines()) - 1 == 80
    for row, one, line in zip(rows, objects, table.stdout.splitlines()[1:], strict=True):
        assert row["path"] == one["path"] == line.split("  ")[-1].strip()
        assert row["label"] == one["label"] == line.split()[0]
        assert float(row["confidence"]) == one["confidence"]
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        near = [
            one["confidence"] + step for step in (-1e-6, 0, 1e-6)
        ]  # JSON rounds to six digits, and the table the whole number
        shown = {">99,9%" if share >= 0.9995 else f"{share:.1%}".replace(".", ",") for share in near}
        assert any(share in line for share in shown) and "100,0%" not in line


def test_lists_archives_and_folders(shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command) -> None:
    run, data = shapes_run
    archive = shutil.make_archive(str(tmp_path / "discs"), "zip", data, "disc")
    listed = "\n".join(str(path) for path in sorted((data / "disc").iterdir()))
    ways = [
        mirante("predict", run, *words, "--format", "json", stdin=stdin)
        for words, stdin in (((archive,), ""), (("-",), listed))
    ]
    labels = [[json.loads(line)["confidence"] for line in done.stdout.splitlines()] for done in ways]
    assert len(labels[0]) == 80 and labels[0] == labels[1]


def test_unreadable_images_are_named_counted_and_stop_nothing(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    shutil.copytree(data / "bar", tmp_path / "new")
    (tmp_path / "new" / "000.png").write_bytes(b"nothing")
    (tmp_path / "new" / "zzz.png").write_bytes((data / "bar/001.png").read_bytes()[:300])
    done = mirante("predict", run, tmp_path / "new", "--format", "json")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 79
    assert "000.png: left out: not an image" in done.stderr and "zzz.png: left out: truncated" in done.stderr
    assert "79 answered, 2 left out" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a file name be any bytes")
def test_a_file_whose_name_is_no_text_is_answered(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    shutil.copy(data / "disc/003.png", tmp_path / os.fsdecode(b"caf\xe9.png"))
    done = mirante("predict", run, tmp_path, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"].endswith("caf\\xe9.png") and json.loads(done.stdout)["label"] == "disc"


def test_what_is_no_model_says_so(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = shapes_run
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    cases = {tmp_path / "gone": "no such run", tmp_path: "not a Mirante run", tmp_path / "model.onnx": "damaged"}
    for path, words in cases.items():
        with pytest.raises(RunError, match=words):
            Model(path)
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    for name, words in {"model.onnx": "damaged", "metrics.json": None}.items():
        (copy / name).write_bytes((copy / name).read_bytes()[:100])
        if words:
            with pytest.raises(RunError, match=words):
                Model(copy)
    import onnx

    foreign = onnx.load(run / "model.onnx")
    newer = json.loads(foreign.metadata_props[0].value) | {"format": 99}
    foreign.metadata_props[0].value = json.dumps(newer)
    onnx.save(foreign, tmp_path / "newer.onnx")
    with pytest.raises(RunError, match="newer Mirante"):
        Model(tmp_path / "newer.onnx")
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(RunError, match="not a Mirante model"):
        Model(tmp_path / "foreign.onnx")
    with pytest.raises(ImageError, match="no such file"):
        Model(run).predict(data / "nothing.png")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a POSIX thing")
def test_in_a_terminal_the_images_are_shown_in_half_blocks(shapes_run: tuple[Path, Path]) -> None:
    import pty

    run, data = shapes_run
    outputs = []
    for extra in ([], ["--no-pictures"]):
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "mirante", "predict", str(run), str(data / "disc/001.png"), *extra]
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "100"}
        process = subprocess.Popen(command, stdout=slave, stderr=slave, stdin=slave, env=environment)
        os.close(slave)
        said = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:
                break
            if not block:
                break
            said += block
        assert process.wait() == 0
        os.close(master)
        outputs.append(said.decode("utf-8"))
    assert outputs[0].count("▀") == 8 * 16 and "\x1b[38;2;" in outputs[0] and "disc" in outputs[0] and "█" in outputs[0]
    assert "▀" not in outputs[1] and "disc" in outputs[1]


def test_another_size_of_image_comes_to_the_input_size_by_the_rule_of_the_model(shapes_run: tuple[Path, Path]) -> None:
    run, _ = shapes_run
    classifier = Model(run)
    wide = np.zeros((48, 96, 3), np.uint8)
    wide[:, 24:72] = np.asarray(draw_shape("disc", 3).resize((48, 48)))
    assert classifier.pixels(wide).shape == (24, 24, 3)
    assert classifier.info.fit == "crop"


@pytest.mark.parametrize("share", [0, 1, 90, -1, float("nan"), "0.5"])
def test_a_share_outside_0_to_1_is_refused(shapes_run: tuple[Path, Path], share: float) -> None:
    run, data = shapes_run
    model = Model(run)
    with pytest.raises(RequestError, match="must be a number between 0 and 1"):
        model.predict(data / "bar" / "000.png", coverage=share)
    with pytest.raises(RequestError, match="must be a number between 0 and 1"):
        model.set_threshold(share)


def test_many_images_are_answered_in_order_as_one_by_one_and_a_damaged_one_stops_nothing(
    shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = shapes_run
    files = sorted(data.rglob("*.png"))[:150]
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(files[0].read_bytes()[:100])
    given = [*files[:70], damaged, *files[70:]]
    model = Model(run)
    answers = list(model.predict_many(given, errors="skip"))
    assert [answer.path for answer in answers] == [str(one) for one in given]
    assert answers[70].reason.startswith(("truncated", "damaged"))
    del answers[70]
    for answer, file in zip(answers, files, strict=True):
        assert np.allclose(answer.probabilities, model.predict(file).probabilities, atol=1e-5)
    with pytest.raises(ImageError, match=r"damaged\.png"):
        list(model.predict_many(given))
