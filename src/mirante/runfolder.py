"""The run folder: the names of its files, and reading them; mirante.run opens a run as a whole.

Training writes it, everything else reads it. Nothing in a run is executed when it is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mirante.errors import RunError

FORMAT = 2
"""Incremented when a file of a run changes its meaning; a run in another format is refused."""

RECIPE = "recipe.toml"
DATA = "data.json"
HISTORY = "history.csv"
CHECKPOINT = "checkpoint"
FOLDS = "folds"
FOLD_MODELS = "fold-models"
SNAPSHOTS = "snapshots"
WEIGHTS = "model.safetensors"
MODEL = "model.json"
ONNX = "model.onnx"
PREDICTIONS = "predictions.csv"
REFERENCE = "reference.npz"
LEARNED = "learned.npz"
METRICS = "metrics.json"
REPORT = "report.html"
CARD = "model-card.md"
PLOTS = "plots"
HEATMAPS = "heatmaps.png"
EARLIER = "earlier"
EXPORTS = "exports"
EXPORT = ".mirante-export"
"""In the folder of an export: a sentence, and the version of the model that it was made of."""


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object of a run's file; raises RunError when it is damaged or written by another version of Mirante."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RunError(f"{where}: damaged: not JSON; restore the file or train again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{where}: damaged: not what Mirante writes there; restore the file.")
    written = value.get("format")
    if isinstance(written, int) and written != FORMAT:
        age, then = ("a newer", "update this one") if written > FORMAT else ("an older", "train it again")
        raise RunError(f"{where}: written by {age} Mirante (format {written}, this one reads {FORMAT}); {then}.")
    return value


def read_text(run: Path, name: str) -> str:
    """Return a text file of a run; raises RunError when it is missing or not text."""
    path = require_file(run, name)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read; restore the file or train again.") from error


def read_json(run: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of a run; raises RunError."""
    return parse(read_text(run, name), str(run / name))


def require_file(run: Path, name: str) -> Path:
    """Return the path of a file of a run; raises RunError with the reason when it is missing."""
    require_run(run)
    path = run / name
    if not path.exists():
        unfinished = f"the training has not finished; mirante train --resume --out {run} continues it"
        raise RunError(f"{path}: missing; {unfinished if (run / CHECKPOINT).is_dir() else 'train the model again'}.")
    return path


def is_run(path: Path) -> bool:
    """Tell whether a folder is a Mirante run, finished or not."""
    return (path / RECIPE).is_file() and (path / DATA).is_file()


def require_run(path: Path) -> None:
    """Raise RunError unless `path` is a run folder."""
    if not path.exists():
        raise RunError(f"{path}: no such run; `mirante train DATA` makes one under runs/.")
    if not is_run(path):
        raise RunError(f"{path}: not a Mirante run (it lacks {RECIPE} or {DATA}).")
