"""The models that a run had earlier: each kept whole, with its report, in RUN/earlier/1, 2, …"""

from __future__ import annotations

import shutil
from pathlib import Path

from mirante import runfolder

EARLIER = "earlier"
_KEPT = (
    runfolder.ONNX, runfolder.MODEL, runfolder.WEIGHTS, runfolder.METRICS, runfolder.PREDICTIONS, runfolder.REPORT, runfolder.CARD,
    runfolder.DATA, runfolder.PLOTS,
)  # fmt: skip


def keep(run: Path) -> Path:
    """Keep the run as it is now under the next number, and return that folder, which is never there half-written."""
    number = 1
    while (kept := run / EARLIER / str(number)).exists():
        number += 1
    part = kept.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in _KEPT:
        if (run / name).is_dir():
            shutil.copytree(run / name, part / name)
        elif (run / name).exists():
            shutil.copy2(run / name, part / name)
    part.rename(kept)
    return kept
