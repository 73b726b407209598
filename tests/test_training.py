"""Nothing is lost: a training that is stopped, killed or out of disk goes on to the weights it would have had."""

from __future__ import annotations

import csv
import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, write_shapes
from safetensors.numpy import load_file

from mirante.training.loop import _stopped
from mirante.training.recipe import Recipe

# whitening, batch normalisation and dropout: everything that has a state or draws at random, seen small at first
LAYERS = "W2-16B-16B-GMP-D0.3-16N"
SLOW = ("--model", LAYERS, "--epochs", "6", "--batch-size", "16")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 200)


@pytest.fixture(scope="module")
def uninterrupted(data: Path, mirante: Command) -> Path:
    out = data.parent / "uninterrupted"
    done = mirante("train", data, *SLOW, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def start(*words: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mirante", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def wait_for(condition: object, process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.005)


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def test_a_training_killed_again_and_again_ends_with_the_same_weights(
    data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command
) -> None:
    out = tmp_path / "killed"
    latest = out / "checkpoint" / "latest.json"
    words: tuple[str | Path, ...] = ("train", data, *SLOW, "--out", out)
    random = np.random.default_rng(0)
    for kill in range(3):
        process = start(*words)
        wait_for(out.is_dir if kill == 0 else latest.exists, process)
        before = latest.read_bytes() if latest.exists() else b""
        wait_for(lambda before=before: latest.exists() and latest.read_bytes() != before, process)
        time.sleep(float(random.uniform(0, 0.2)))
        process.kill()
        process.communicate()
        words = ("train", "--resume", "--out", out)
    done = mirante(*words)
    assert done.returncode == 0, done.stderr
    assert digest(out) == digest(uninterrupted)
    assert not (out / "checkpoint").exists()
    seconds = "seconds"
    mine, other = (
        [{**row, seconds: ""} for row in csv.DictReader((run / "history.csv").open())] for run in (out, uninterrupted)
    )
    assert mine == other and len(mine) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX thing")
def test_a_training_killed_while_it_writes_ends_with_the_same_weights(
    data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command
) -> None:
    """Kill it in the system call that flushes a new file to disk: there, but not yet in its place."""
    out = tmp_path / "killed"
    program = (
        "import os, signal, sys\n"
        "from mirante.cli import main\n"
        "flush, left = os.fsync, int(sys.argv[1])\n"
        "def fsync(file):\n"
        "    global left\n"
        "    left -= 1\n"
        "    flush(file) if left else os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.fsync = fsync\n"
        "main(sys.argv[2:])\n"
    )
    words: list[str | Path] = ["train", data, *SLOW, "--out", out]
    unfinished = set()
    for flushes in (2, 4, 3, 2, 3, 5):  # of data.json, of tensors, of latest.json, of history.csv, as they come
        done = subprocess.run(
            [sys.executable, "-c", program, str(flushes), *map(str, words)], capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        unfinished |= {path.name.split("-")[0].split(".json")[0] for path in out.rglob("*.part")}
        if (out / "data.json").exists():
            words = ["train", "--resume", "--out", out]
    assert {".epoch", ".latest"} <= unfinished
    done = mirante(*words)
    assert done.returncode == 0, done.stderr
    assert digest(out) == digest(uninterrupted)
    assert not (out / "checkpoint").exists() and not list(out.rglob("*.part"))


def test_a_stopped_fold_says_how_the_whole_run_goes_on() -> None:
    for place in ("runs/a", "runs/a/folds/fold2-0", "runs/a/folds/repetition1"):
        assert str(_stopped("in epoch 5 of 15", Path(place))).endswith("mirante train --resume --out runs/a"), place


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_the_next_step_with_everything_saved(
    data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command, number: signal.Signals
) -> None:
    out = tmp_path / "stopped"
    process = start("train", data, *SLOW, "--out", out)
    wait_for((out / "checkpoint" / "latest.json").exists, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "nothing is lost" in said and f"--resume --out {out}" in said
    assert "Traceback" not in said
    assert mirante("predict", out, data).returncode == 2  # says that the training has not finished
    done = mirante("train", "--resume", "--out", out)
    assert done.returncode == 0 and digest(out) == digest(uninterrupted)
    again = mirante("train", "--resume", "--out", out)
    assert again.returncode == 0 and "is finished" in again.stderr and digest(out) == digest(uninterrupted)


def test_the_same_command_gives_the_same_weights_and_another_seed_others(
    data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command
) -> None:
    for seed in (0, 1):
        assert mirante("train", data, *SLOW, "--seed", str(seed), "--out", tmp_path / str(seed)).returncode == 0
    assert digest(tmp_path / "0") == digest(uninterrupted) != digest(tmp_path / "1")


def test_the_recipe_of_a_run_trains_it_again(data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command) -> None:
    done = mirante("train", data, "--recipe", uninterrupted / "recipe.toml", "--out", tmp_path / "again")
    assert done.returncode == 0 and digest(tmp_path / "again") == digest(uninterrupted)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX thing")
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command
) -> None:
    out = tmp_path / "full"
    process = start("train", data, *SLOW, "--out", out)
    wait_for((out / "checkpoint" / "latest.json").exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    before = (out / "checkpoint" / "latest.json").read_bytes()
    # no file may grow beyond 10 kB: a disk that fills up in the middle of writing
    limit = f"ulimit -f 10; exec {sys.executable} -m mirante train --resume --out {out}"
    done = subprocess.run(["bash", "-c", limit], capture_output=True, text=True, timeout=120, check=False)
    assert (
        done.returncode == 1
        and "could not be written" in done.stderr
        and f"--resume --out {out}" in done.stderr
        and "Traceback" not in done.stderr
    )
    assert (out / "checkpoint" / "latest.json").read_bytes() == before
    assert mirante("train", "--resume", "--out", out).returncode == 0
    assert digest(out) == digest(uninterrupted)


def test_a_damaged_checkpoint_and_changed_data_are_said(data: Path, tmp_path: Path, mirante: Command) -> None:
    mine = write_shapes(tmp_path / "mine", 40)
    out = tmp_path / "run"
    process = start("train", mine, *SLOW[:2], "--epochs", "1000", "--out", out)
    wait_for((out / "checkpoint" / "latest.json").exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    tensors = out / "checkpoint" / json.loads((out / "checkpoint" / "latest.json").read_text())["tensors"]
    whole = tensors.read_bytes()
    tensors.write_bytes(whole[:-1] + b"?")
    done = mirante("train", "--resume", "--out", out)
    assert done.returncode == 2 and "checkpoint is damaged" in done.stderr
    tensors.write_bytes(whole)
    (mine / "disc" / "000.png").unlink()
    done = mirante("train", "--resume", "--out", out)
    assert done.returncode == 2 and "changed after" in done.stderr


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    data: Path, tmp_path: Path, mirante: Command
) -> None:
    (tmp_path / "breaks.py").write_text(
        "from torch import nn\n"
        "class Breaks(nn.Sequential):\n"
        "    steps = 0\n"
        "    def forward(self, x):\n"
        "        self.steps += self.training\n"
        "        return super().forward(x) * (float('nan') if self.steps == 50 else 1)\n"
        "def network(shape, classes):\n"
        "    return Breaks(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))\n"
    )
    out = tmp_path / "run"
    done = mirante("train", data, "--model", f"{tmp_path / 'breaks.py'}:network", "--batch-size", "16", "--out", out)
    steps = -(-sum(row[3] == "train" for row in json.loads((out / "data.json").read_text())["files"]) // 16)
    assert done.returncode == 1 and f"Epoch 2, step {50 - steps}: the loss is no longer a number" in done.stderr
    assert "the last good checkpoint is kept" in done.stderr and "Traceback" not in done.stderr
    (kept,) = (out / "checkpoint").glob("*.safetensors")
    assert kept.name.startswith("epoch-00001")
    assert all(np.isfinite(tensor).all() for tensor in load_file(kept).values())


def test_an_existing_run_is_replaced_only_on_request(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    out = tmp_path / "run"
    quick = ("--model", "4C3-GAP", "--epochs", "1", "--out", out)
    assert mirante("train", shapes, *quick).returncode == 0
    before = digest(out)
    done = mirante("train", shapes, *quick, "--seed", "1")
    assert done.returncode == 2 and "--overwrite" in done.stderr and digest(out) == before
    assert mirante("train", tmp_path / "nothing", *quick, "--overwrite").returncode == 2 and digest(out) == before
    assert mirante("train", shapes, *quick, "--seed", "1", "--overwrite").returncode == 0 and digest(out) != before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "precious.jpg").write_bytes(b"precious")
    done = mirante("train", shapes, *quick[:-1], tmp_path / "photos", "--overwrite")
    assert done.returncode == 2 and (tmp_path / "photos" / "precious.jpg").exists()


def test_runs_without_a_name_are_numbered(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    for _ in range(2):
        assert mirante("train", shapes, "--model", "4C3-GAP", "--epochs", "1", cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["shapes-fast", "shapes-fast-2"]


def test_tensorboard_gets_the_history(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    out = tmp_path / "run"
    done = mirante("train", shapes, "--model", "4C3-GAP", "--epochs", "2", "--out", out, "--track", "tensorboard")
    assert done.returncode == 0, done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "tensorboard")).Reload()
    history = list(csv.DictReader((out / "history.csv").open()))
    for name in ("train_loss", "val_accuracy"):
        assert np.allclose(
            [event.value for event in events.Scalars(name)], [float(row[name]) for row in history], rtol=1e-4
        )


def test_mlflow_gets_recipe_epochs_and_test_figures(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    import mlflow

    out, store = tmp_path / "run", f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = ["train", shapes, "--model", "4C3-GAP", "--epochs", "2", "--out", out, "--track", "mlflow"]
    done = mirante(*words, cwd=tmp_path, MLFLOW_TRACKING_URI=store)
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(tracking_uri=store)
    (kept,) = client.search_runs(["0"])
    assert kept.data.params["layers"] == "4C3-GAP" and kept.info.run_name == "run" and kept.info.status == "FINISHED"
    history = list(csv.DictReader((out / "history.csv").open()))
    told = [one.value for one in client.get_metric_history(kept.info.run_id, "val_loss")]
    assert np.allclose(told, [float(row["val_loss"]) for row in history], rtol=1e-4)
    accuracy = json.loads((out / "metrics.json").read_text())["accuracy"]["value"]
    assert kept.data.metrics["test_accuracy"] == pytest.approx(accuracy)


def test_a_tracker_that_fails_stops_no_training(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    words = ["train", shapes, "--model", "4C3-GAP", "--epochs", "1", "--out", tmp_path / "run"]
    done = mirante(*words, "--track", "mlflow", MLFLOW_TRACKING_URI="nonsense://nowhere")
    assert done.returncode == 0 and "left out from now on" in done.stderr
    assert mirante(*words, "--overwrite", "--track", "abacus").returncode == 2


def test_the_tutorial_trains_on_all_images_and_shows_the_test_images(tmp_path: Path, mirante: Command) -> None:
    recipe = Recipe.load("tutorial")
    assert (recipe.layers, recipe.epochs, recipe.batch_size) == ("32C3-MP2-64C3-MP2-64N", 10, 32)
    assert (recipe.optimiser, recipe.learning_rate, recipe.schedule) == ("adam", 1e-3, "constant")
    assert not recipe.augment and recipe.label_smoothing == 0 and recipe.weight_decay == 0
    done = mirante("train", "digits", "--recipe", "tutorial", "--epochs", "1", "--out", tmp_path / "run")
    assert done.returncode == 0
    counts = json.loads((tmp_path / "run" / "data.json").read_text())["counts"]
    assert (
        sum(count["val"] for count in counts.values()) == 0 and sum(count["train"] for count in counts.values()) > 1500
    )
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert model["learned"]["temperature"] == 1.0  # the test images chose nothing, not even that


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs = 3", "lacks"),
        ('[recipe]\nname = "x"\ncolour = 1', "'colour' is not a field"),
        ("not toml", "not a readable recipe"),
    ],
)
def test_a_bad_recipe_is_said(tmp_path: Path, mirante: Command, text: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    done = mirante("train", "digits", "--recipe", tmp_path / "bad.toml")
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_trains_to_the_same_accuracy(data: Path, uninterrupted: Path, tmp_path: Path, mirante: Command) -> None:
    assert mirante("train", data, *SLOW, "--device", "cuda", "--out", tmp_path / "gpu").returncode == 0
    one, other = (
        json.loads((run / "metrics.json").read_text())["accuracy"]["value"] for run in (tmp_path / "gpu", uninterrupted)
    )
    assert abs(one - other) < 0.1


def test_what_a_resumed_training_does_not_take_is_named(tmp_path: Path, shapes: Path, mirante: Command) -> None:
    words = ("--model", "8C3-MP2-16N", "--epochs", "1", "--out", tmp_path / "run")
    assert mirante("train", shapes, *words).returncode == 0
    done = mirante("train", "--resume", "--out", tmp_path / "run", "--sensitivity", "90%", "--strict", "--fit", "pad")
    for option in ("--sensitivity", "--strict", "--fit"):
        assert f"{option} is ignored" in done.stderr
    assert done.stderr.count("is ignored") == 3
