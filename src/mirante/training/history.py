"""history.csv: one line per epoch, written as training goes."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

from mirante.errors import RunError
from mirante.files import csv_text, write_text


@dataclass(frozen=True)
class Epoch:
    """One epoch. `seconds` since the training began; val_* are of the images that the recipe watches, or None."""

    epoch: int
    step: int
    seconds: float
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None


def write_history(path: Path, epochs: list[Epoch]) -> None:
    """Put all epochs at `path` in one step."""
    names = [field.name for field in fields(Epoch)]
    rows = [[getattr(epoch, name) for name in names] for epoch in epochs]
    write_text(path, csv_text(names, [[_cell(value) for value in row] for row in rows]))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def read_history(path: Path) -> list[Epoch]:
    """Return the epochs of a history.csv; raises RunError when it is damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_epoch(row) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged; delete it to continue without the curves.") from error


def _epoch(row: dict[str, str]) -> Epoch:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Epoch(
        int(row["epoch"]),
        int(row["step"]),
        float(row["seconds"]),
        float(row["lr"]),
        float(row["train_loss"]),
        float(row["train_accuracy"]),
        number("val_loss"),
        number("val_accuracy"),
    )
