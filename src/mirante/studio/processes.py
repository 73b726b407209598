"""Mirante commands as separate processes, which outlive the page and the studio and are found again by their start time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def launch(words: Sequence[str], folder: Path, log: Path, others: int = 0) -> tuple[int, float]:
    """Start `mirante …` in a folder and return its process id and start time; what it prints is added to `log`.

    others  how many such processes are running: the cores are shared out
    """
    environment = dict(os.environ)
    if others:  # two programs that each take all the cores are slower than one after the other
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // (others + 1)))
    with log.open("ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "mirante", *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,  # Ctrl-C in the studio's terminal is not meant for it
        )
    _CHILDREN[child.pid] = child
    try:
        return child.pid, psutil.Process(child.pid).create_time()
    except psutil.Error:
        return child.pid, 0.0


def alive(pid: int, born: float) -> psutil.Process | None:
    """Return the process while it runs; its start time tells it from another that was given the same id."""
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        return None
    try:
        process = psutil.Process(pid) if pid else None
        if process and abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    except psutil.Error:
        pass
    return None


def printed(log: Path) -> list[str]:
    """Return the non-empty lines of a log."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]
