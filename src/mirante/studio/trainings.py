"""Trainings that the studio starts: each is a `mirante train` in its own process, which outlives the page and the studio.

What is known about one is on disk: how it was started and as which process, what it printed, and the run folder that it writes.
So a studio that was closed, or killed, finds its trainings again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil

from mirante import runfolder
from mirante.errors import RequestError, RunError
from mirante.files import write_json
from mirante.run import Run
from mirante.studio import processes
from mirante.studio.workspace import Workspace, require_name
from mirante.training.progress_line import read_steps
from mirante.training.snapshots import read_snapshots

State = Literal["running", "stopped", "finished", "failed"]
_LOCK = threading.Lock()
_LINES, _POINTS, _KERNELS = 12, 300, 32


@dataclass(frozen=True)
class Training:
    """How a training was started: name of its run, its collection, the words of the command, its process and its birth."""

    name: str
    collection: str
    words: list[str]
    pid: int = 0
    born: float = 0.0


def start(workspace: Workspace, name: str, collection: str, words: Sequence[str]) -> Training:
    """Start `mirante train …` as the run `name`. Raises RequestError when the name is taken."""
    name = require_name(name)
    with _LOCK:
        if (workspace.runs / name).exists() or _file(workspace, name).exists():
            raise RequestError(f"{name!r} already exists; choose another name.")
        workspace.runs.mkdir(exist_ok=True)
        command = ["train", *words, "--out", str(Path("runs") / name)]
        return _launch(workspace, Training(name, collection, command))


def go_on(workspace: Workspace, name: str) -> Training:
    """Resume a stopped training. Raises RequestError when it is running, or there is nothing to resume."""
    with _LOCK:
        before = read(workspace, name)
        if state(workspace, before) != "stopped":
            raise RequestError(f"{name}: not stopped; there is nothing to resume.")
        run = str(Path("runs") / name)
        return _launch(workspace, Training(name, before.collection, ["train", "--resume", "--out", run]))


def stop(workspace: Workspace, name: str) -> None:
    """Ask a training to stop at its next step; it saves everything first."""
    process = _process(read(workspace, name))
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)


def read(workspace: Workspace, name: str) -> Training:
    """Return what is known about a training; raises RunError when the studio has started none of that name."""
    try:
        return Training(**json.loads(_file(workspace, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{name}: no training of that name was started here.") from error


def list_trainings(workspace: Workspace) -> list[Training]:
    """Return all trainings that the studio has started, the newest first."""
    files = sorted(workspace.memory("trainings").glob("*.json"), key=lambda path: -path.stat().st_mtime)
    found = []
    for path in files:
        with contextlib.suppress(RunError):
            found.append(read(workspace, path.stem))
    return found


def state(workspace: Workspace, training: Training) -> State:
    """Return the state of a training."""
    if _process(training) is not None:
        return "running"
    path = workspace.runs / training.name
    if not runfolder.is_run(path):
        return "failed"
    if Run(path).is_finished:
        return "finished"
    return "stopped" if (path / runfolder.CHECKPOINT).is_dir() else "failed"


def progress(workspace: Workspace, name: str) -> dict[str, Any]:
    """Return the state of a training and its results so far, for the page that watches it.

    state, lines (the last that it printed), error, epochs, steps (seconds, loss, accuracy of the epoch under way), share (0 to 1),
    mistakes (label, predicted, confidence, path) and kernels (N, channels, K, L) of the last snapshot, layers (the network)
    """
    training = read(workspace, name)
    run = workspace.runs / training.name
    now = state(workspace, training)
    lines = _log(workspace, name)
    steps = read_steps(run / runfolder.CHECKPOINT) if now != "finished" else []
    value: dict[str, Any] = {
        "state": now,
        "lines": lines[-_LINES:],
        "error": next((line for line in reversed(lines) if line.startswith("mirante: ")), None)
        if now == "failed"
        else None,
        "epochs": [asdict(epoch) for epoch in (Run(run).history if runfolder.is_run(run) else [])],
        "steps": [list(step) for step in steps[:: 1 + len(steps) // _POINTS]],
        "share": 1.0 if now == "finished" else steps[-1][1] if steps else 0.0,
        "mistakes": [],
        "kernels": None,
        "layers": "",
    }
    with contextlib.suppress(RunError):  # which is not there yet
        value["layers"] = Run(run).recipe.layers
    snapshots = read_snapshots(run)
    if snapshots:
        with contextlib.suppress(RunError, KeyError, IndexError):
            stored = Run(run).data
            last, classes, files = snapshots[-1], stored["classes"], stored["files"]
            if last.kernels.size and last.kernels.shape[1] in (1, 3):  # of a layer that sees pixels
                value["kernels"] = {"epoch": last.epoch, "values": np.round(last.kernels[:_KERNELS], 4).tolist()}
            value["mistakes"] = [
                {
                    "path": files[row][0],
                    "label": classes[label],
                    "predicted": classes[answer],
                    "confidence": float(share),
                }
                for (row, label, answer), share in zip(last.mistakes.tolist(), last.confidences, strict=True)
            ]
    return value


def free_name(workspace: Workspace, name: str) -> str:
    """Return the name, numbered if a run or a training has it already."""
    number, free = 1, name
    taken = {one.name for one in list_trainings(workspace)}
    while (workspace.runs / free).exists() or free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def running(workspace: Workspace) -> int:
    """Return how many trainings are running."""
    return sum(_process(one) is not None for one in list_trainings(workspace))


def _launch(workspace: Workspace, training: Training) -> Training:
    log = _log_file(workspace, training.name)
    pid, born = processes.launch(training.words, workspace.root, log, others=running(workspace))
    begun = Training(training.name, training.collection, list(training.words), pid, born)
    write_json(_file(workspace, training.name), asdict(begun))
    return begun


def _process(training: Training) -> psutil.Process | None:
    return processes.alive(training.pid, training.born)


def _log(workspace: Workspace, name: str) -> list[str]:
    return processes.printed(_log_file(workspace, name))


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("trainings") / f"{require_name(name)}.json"


def _log_file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("trainings") / f"{require_name(name)}.log"
