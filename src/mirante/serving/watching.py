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
_LONGEST = 1800.0  # seconds of one look
_FOUND = (0, 3)  # exit statuses of mirante monitor: all is as usual, or an alarm


Note = Callable[[str, Mapping[str, Any] | None], None]


async def watch(models: Models, log: str, every: float, note: Note) -> None:
    """Look at the logs for ever, and tell `note` of each model what was found (Watched.to_dict), or None where nothing can be.

    every  seconds between two looks
    """
    try:
        handle = os.open(Path(log) / ".monitor.lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        _log.warning(f"{log}: the logs are not compared with the test images ({error.strerror}).")
        return
    mine, pause = False, min(every, _SOON)
    try:
        while True:
            await asyncio.sleep(pause)
            mine, pause = mine or take(handle), every
            for served in list(models.by_name.values()) if mine else []:
                run = served.path.parent
                if served.path.name == runfolder.ONNX and runfolder.is_run(run):
                    try:
                        note(served.name, await _look(served.name, run, Path(log) / served.name))
                    except Exception as error:  # whatever it is, the server goes on and looks again
                        _log.warning(f"{served.name}: its log cannot be compared ({error}).")
                        note(served.name, None)
    finally:
        os.close(handle)


async def _look(name: str, run: Path, log: Path) -> Mapping[str, Any] | None:
    words = [sys.executable, "-m", "mirante", "monitor", str(run), str(log)]
    process = await asyncio.create_subprocess_exec(
        *words, "--every", "day", "--since", "30d", "--format", "json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        _step_back(process.pid)
        async with asyncio.timeout(_LONGEST):
            told, failed = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode not in _FOUND:  # nothing logged yet, or no run with test images: said, and tried again
        _log.info(f"{name}: its log cannot be compared ({failed.decode(errors='replace').strip()})")
        return None
    found: Mapping[str, Any] = json.loads(told)
    return found


def _step_back(process: int) -> None:
    """Give a process a low priority, where that is possible."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        psutil.Process(process).nice(10 if sys.platform != "win32" else psutil.BELOW_NORMAL_PRIORITY_CLASS)
