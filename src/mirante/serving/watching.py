"""Compares the log of each served model with its test images, again and again, for /metrics.

Each look is `mirante monitor --every day --since 30d` in a process of its own, of low priority, so that no request waits for it. Of
several worker processes, the one that holds a lock looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mirante import runfolder
from mirante.lock import take
from mirante.serving.models import Models

_log = logging.getLogger("mirante")
_SOON = 60.0  # seconds after the start, at most
_FOUND = (0, 3)  # exit statuses of mirante monitor: all is as usual, or an alarm


async def watch(models: Models, log: str, every: float, note: Callable[[str, Mapping[str, Any]], None]) -> None:
    """Look at the logs for ever, and tell `note` of each model what was found (Watched.to_dict).

    every  seconds between two looks
    """
    handle = os.open(Path(log) / ".monitor.lock", os.O_RDWR | os.O_CREAT)
    mine, pause = False, min(every, _SOON)
    try:
        while True:
            await asyncio.sleep(pause)
            mine, pause = mine or take(handle), every
            for served in list(models.by_name.values()) if mine else []:
                run = served.path.parent
                if served.path.name == runfolder.ONNX and runfolder.is_run(run):
                    with contextlib.suppress(OSError):  # no process can be started now; the next look may
                        await _look(served.name, run, Path(log) / served.name, note)
    finally:
        os.close(handle)


async def _look(name: str, run: Path, log: Path, note: Callable[[str, Mapping[str, Any]], None]) -> None:
    words = [sys.executable, "-m", "mirante", "monitor", str(run), str(log)]
    process = await asyncio.create_subprocess_exec(
        *words, "--every", "day", "--since", "30d", "--format", "json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        _step_back(process.pid)
        told, failed = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode in _FOUND:
        note(name, json.loads(told))
    else:  # nothing logged yet, or no run with test images: said, and tried again
        _log.info(f"{name}: its log cannot be compared ({failed.decode(errors='replace').strip()})")


def _step_back(process: int) -> None:
    """Give a process a low priority, where that is possible."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(process).nice(10 if sys.platform != "win32" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
