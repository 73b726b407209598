"""A training by two processes of torchrun: the same curve, one who writes, and no harm when one of them ends."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import Command, write_shapes
from hypothesis import given
from hypothesis import strategies as st

from mirante.training.process_group import ProcessGroup

WORDS = ["--recipe", "recipe.toml", "--batch-size", "31", "--device", "cpu", "--lang", "en"]
RECIPE = """
name = "small"
layers = "8C3-BN-ReLU-MP2-16N"
epochs = 40
batch_size = 31
optimiser = "sgd"
learning_rate = 0.02
momentum = 0.9
augment = ["mirror", "shift 2"]
val_share = 0.2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a recipe whose batches cannot be halved."""
    folder = tmp_path_factory.mktemp("together")
    write_shapes(folder / "shapes", 60)
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def start(place: Path, *words: str, launch: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start two processes; the second one stands in a folder of its own, where there are no images."""
    (place / "elsewhere").mkdir(exist_ok=True)
    command = f'[ "$RANK" = 1 ] && cd elsewhere; exec {sys.executable} -m mirante train shapes "$@"'
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0", *launch]
    torchrun += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--local-addr", "127.0.0.1", "--no-python"]
    return subprocess.Popen(
        [*torchrun, "sh", "-c", command, "sh", *words],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MIRANTE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"},
    )


def curve(run: Path) -> list[list[str]]:
    """Return the lines of a history without its clock."""
    return [
        [value for name, value in line.items() if name != "seconds"]
        for line in csv.DictReader((run / "history.csv").open())
    ]


def wait_for_epoch(run: Path, epochs: int) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        if (run / "history.csv").exists() and len((run / "history.csv").read_text().splitlines()) > epochs:
            return
        time.sleep(0.02)
    raise AssertionError("no epoch came")


def process_of(torchrun: subprocess.Popen[str], rank: int) -> psutil.Process:
    children = psutil.Process(torchrun.pid).children(recursive=True)
    return next(child for child in children if child.environ().get("RANK") == str(rank))


@pytest.fixture(scope="module")
def two(place: Path) -> tuple[Path, str, str]:
    """A run by two processes, with what they said."""
    process = start(place, *WORDS, "--out", "two")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return place / "two", out, err


def test_two_processes_take_the_same_steps_as_one(place: Path, two: tuple[Path, str, str], mirante: Command) -> None:
    done = mirante("train", "shapes", *WORDS, "--out", "one", cwd=place, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    one, both = (np.array(curve(run), float) for run in (place / "one", two[0]))
    assert one.shape == both.shape == (40, 7)
    np.testing.assert_allclose(both[:2], one[:2], rtol=5e-3)
    assert one[-1, 3] < one[0, 3] / 2, "nothing was learned that could differ"
    # of the figures printed at the end, each is printed once
    assert two[1].replace("two/", "one/").splitlines()[1:4] == done.stdout.splitlines()[1:4]
    assert two[1].count("Report: ") == 1


def test_only_the_first_process_reads_the_images_and_writes(place: Path, two: tuple[Path, str, str]) -> None:
    run, _, err = two
    assert list((place / "elsewhere").iterdir()) == [], "the second process wrote"
    assert len(list((place / "cache" / "images").iterdir())) == 1
    assert {"model.onnx", "report.html", "history.csv"} <= {path.name for path in run.iterdir()}
    assert err.count("epoch 40/40") == 1


def test_an_interrupted_process_stops_all_with_one_message_and_resuming_ends_alike(
    place: Path, two: tuple[Path, str, str]
) -> None:
    process = start(place, *WORDS, "--out", "stopped")
    wait_for_epoch(place / "stopped", 3)
    process_of(process, 1).send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    said = [line for line in err.splitlines() if line.startswith("mirante:")]
    assert len(said) == 1 and "nothing is lost" in said[0] and "--resume --out stopped" in said[0]
    assert "Traceback" not in err.split("mirante:")[0]
    again = start(place, "--resume", "--out", "stopped")
    _, err = again.communicate(timeout=200)
    assert again.returncode == 0, err
    assert curve(place / "stopped") == curve(two[0])


@pytest.mark.parametrize("rank", [1])
def test_after_a_kill_torchrun_restarts_all_from_the_checkpoint(
    place: Path, two: tuple[Path, str, str], rank: int
) -> None:
    out = f"killed{rank}"
    process = start(place, *WORDS, "--out", out, launch=("--max-restarts", "1"))
    wait_for_epoch(place / out, 3)
    process_of(process, rank).kill()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    said = [line for line in err.splitlines() if line.startswith("mirante:")]
    assert len(said) == 1 and "from the last checkpoint" in said[0]
    assert curve(place / out) == curve(two[0])
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert (
        len({line.split()[1] for line in lines}) >= 39
    )  # rank 0 may be killed between an epoch's checkpoint and its line
    assert len(lines) < 40 + 3, "it began anew"


def test_a_wrong_request_is_said_once(place: Path) -> None:
    process = start(place, "--model", "8X3", "--out", "wrong")
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and err.count("8X3") == 2  # the sentence, and the line of layers below it
    assert not (place / "wrong").exists()


@given(st.integers(0, 500), st.integers(1, 40))
def test_shares_are_whole_even_and_in_order(count: int, size: int) -> None:
    parts = [np.arange(count)[ProcessGroup(rank, size).shard(count)] for rank in range(size)]
    assert np.concatenate(parts).tolist() == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
