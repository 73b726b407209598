"""mirante tune: validation images choose, a search goes on after a kill, several processes share one, its recipe trains."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from conftest import Command, write_shapes

QUICK = ["--model", "4C3-MP2-8N", "--epochs", "2"]


def trials(folder: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(folder / "study.db") as study:
        try:
            return list(study.execute("select number, state from trials order by number"))
        except sqlite3.OperationalError:  # its tables are just being made
            return []


def values(folder: Path) -> dict[int, float]:
    with sqlite3.connect(folder / "study.db") as study:
        rows = study.execute("select number, value from trials join trial_values using (trial_id)")
        return dict(rows.fetchall())


def test_the_least_validation_loss_wins_and_its_recipe_trains(shapes: Path, mirante: Command, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    done = mirante("tune", shapes, *QUICK, "--trials", "3", "--out", out, "--lang", "pt")
    assert done.returncode == 0 and "Quanto importou" in done.stdout, done.stderr
    found = json.loads((out / "tuning.json").read_text())
    losses = values(out)
    assert found["val_loss"] == min(losses.values()) and found["val_loss_of_the_recipe"] == losses[0]
    recipe = tomllib.loads((out / "best.toml").read_text())
    assert recipe["layers"] == "4C3-MP2-8N" and recipe["learning_rate"] == found["settings"]["learning_rate"]
    before = dict(losses)
    assert mirante("tune", shapes, *QUICK, "--trials", "5", "--out", out).returncode == 0  # goes on
    assert len(trials(out)) == 5 and {number: values(out)[number] for number in before} == before
    assert mirante("train", shapes, "--recipe", out / "best.toml", "--out", tmp_path / "run").returncode == 0
    other = write_shapes(tmp_path / "other", 20)
    done = mirante("tune", other, *QUICK, "--out", out)
    assert done.returncode == 2 and "for other images" in done.stderr
    done = mirante("tune", shapes, "--model", "timm:tf_efficientnet_lite0")
    assert done.returncode == 2 and "not a line of layers" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill with SIGKILL is of POSIX")
def test_a_killed_search_goes_on_and_two_processes_share_one(shapes: Path, mirante: Command, tmp_path: Path) -> None:
    out = tmp_path / "tuned"
    words = [sys.executable, "-m", "mirante", "tune", str(shapes), *QUICK, "--out", str(out), "--trials"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen([*words, "1000"], **quiet)  # type: ignore[call-overload]
    while not (out / "study.db").exists() or len(trials(out)) < 3:
        assert killed.poll() is None
        time.sleep(0.1)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = len(values(out))
    both = [subprocess.Popen([*words, str(kept + 6)], **quiet) for _ in range(2)]  # type: ignore[call-overload]
    assert [one.wait(240) for one in both] == [0, 0]
    finished = [state for _, state in trials(out) if state in ("COMPLETE", "PRUNED")]
    assert kept + 6 <= len(finished) <= kept + 7
    assert list(out.glob("trial-*")) == [] or len(list(out.glob("trial-*"))) == 1  # what the kill left
