"""Predictions: what a model says about labelled images, as one table; made and written once as predictions.csv, read anywhere.

The columns that every task has are written here, a task's own columns by the task. Class names are in cells, or follow a prefix
that no other column has, so a class may have any name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError, RequestError, RunError
from mirante.files import csv_text, write_text
from mirante.task import task_named

if TYPE_CHECKING:
    import pandas

    from mirante.model_info import ModelInfo

_SET = "prediction_set_"
PROBABILITY = "probability_"
"""Prefix of the columns of class probabilities, and of no other column: a class may have any name."""


@dataclass(frozen=True)
class Row:
    """One image of the table: its number, path and label, the answer in words, and whether it is right."""

    number: int
    path: str
    label: str
    predicted: str
    confidence: float
    probabilities: tuple[float, ...]
    right: bool


@dataclass(frozen=True, eq=False)
class Predictions:
    """What was predicted for N images.

    task           what was asked
    classes        names, in the order of the numbers
    paths          N paths in the source
    targets        (N, …) true class numbers; for several labels (N, labels): 1 yes, 0 no, -1 not known
    predicted      (N, …) the most probable ones; for several labels, 1 for those that an image is said to have
    confidences    (N,) probability that the prediction is right
    probabilities  (N, classes) for each class; if an image has several answers, (N, answers) for what was predicted
    decided        (N,) the answer given, where it may differ from the most probable; else None
    prediction_sets  coverage → which classes (N, classes) are in the set that guarantees it
    out_of_distribution  (N,) whether an image seemed to be none of the classes; None if not known
    unsure         (N,) whether the model says that it is unsure; None if it cannot
    subgroups, groups  N names, or None
    folds          (N,) number of the fold that each image was tested in, from 0; None without folds
    uncalibrated   (N, …) the probabilities before calibration; None if not known. Not written to the file
    rows           (N,) rows of the data set; empty if not known. Not written to the file
    """

    task: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidences: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    decided: NDArray[np.int64] | None = None
    prediction_sets: Mapping[float, NDArray[np.bool_]] = field(default_factory=dict)
    out_of_distribution: NDArray[np.bool_] | None = None
    unsure: NDArray[np.bool_] | None = None
    subgroups: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    folds: NDArray[np.int64] | None = None
    uncalibrated: NDArray[np.float32] | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        right = f", {self.right.mean():.1%} right" if len(self) else ""
        return f"<Predictions: {len(self):,} images{right}>"

    def __iter__(self) -> Iterator[Row]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> Row:
        number = range(len(self))[number]
        shares = tuple(self.probabilities[number].tolist())
        label, predicted = (self._in_words(one[number : number + 1])[0] for one in (self.targets, self.predicted))
        target, answered = self.targets[number], self.predicted[number]
        right = bool(((answered == target) | (target < 0)).all())
        return Row(number, self.paths[number], label, predicted, float(self.confidences[number]), shares, right)

    @property
    def given(self) -> NDArray[np.int64]:
        """The answers given (N, …), where they may differ from the most probable ones."""
        return self.predicted if self.decided is None else self.decided

    @property
    def given_confidences(self) -> NDArray[np.float32]:
        """The probability (N,) that each answer given is right."""
        return self.confidences if self.decided is None else self.probabilities[np.arange(len(self)), self.decided]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images (N,) are predicted correctly; for several answers, all that are known must be."""
        right: NDArray[np.bool_] = (
            ((self.predicted == self.targets) | (self.targets < 0)).reshape(len(self), -1).all(axis=1)
        )
        return right

    @property
    def labels(self) -> list[str]:
        """The label of each image in words."""
        return self._in_words(self.targets)

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return the table by columns, as it is written: path, label, predicted, confidence, and any others."""
        found: dict[str, Sequence[Any]] = {
            "path": self.paths,
            "label": self.labels,
            "predicted": self._in_words(self.predicted),
            "confidence": [f"{share:.9g}" for share in self.confidences.tolist()],
        }
        if self.decided is not None:
            found["decision"] = self._in_words(self.decided)
        if self.unsure is not None:
            found["unsure"] = self.unsure.astype(int).tolist()
        found |= task_named(self.task).table_columns(self)
        for coverage, members in self.prediction_sets.items():
            sets = [[self.classes[number] for number in np.flatnonzero(row)] for row in members]
            found[set_column(coverage)] = [json.dumps(one, ensure_ascii=False) for one in sets]
        if self.out_of_distribution is not None:
            found["none_of_these"] = self.out_of_distribution.astype(int).tolist()
        if self.subgroups is not None:
            found["subgroup"] = self.subgroups
        if self.groups is not None:
            found["group"] = self.groups
        if self.folds is not None:
            found["fold"] = (self.folds + 1).tolist()
        return found

    def probability_columns(self) -> dict[str, Sequence[Any]]:
        """Return a column for the probability of each class."""
        # nine digits keep a float32 exact, so that every figure can be recomputed from the table
        return {
            f"{PROBABILITY}{name}": [f"{share:.9g}" for share in self.probabilities[:, number].tolist()]
            for number, name in enumerate(self.classes)
        }

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        columns = self.columns()
        write_text(path, csv_text(list(columns), zip(*columns.values(), strict=True)))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a pandas.DataFrame, numbers as numbers. Raises RequestError when pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise RequestError("to_pandas needs one more package; run pip install pandas.") from error
        columns = dict(self.columns())
        for name, values in columns.items():
            if name == "confidence" or name.startswith(PROBABILITY):
                columns[name] = np.array(values, np.float64)  # type: ignore[assignment]
            elif name.startswith(_SET):
                columns[name] = [json.loads(one) for one in values]
        return pd.DataFrame(columns)

    @classmethod
    def read(cls, path: Path, info: ModelInfo) -> Predictions:
        """Read the table that a model's run holds. Raises RunError when the file is missing or damaged."""
        try:
            with path.open(newline="", encoding="utf-8") as file:
                header, *lines = csv.reader(file)
            columns = dict(zip(header, (list(column) for column in zip(*lines, strict=True)), strict=True))
            optional: dict[str, Any] = {
                "prediction_sets": {
                    float(name.removeprefix(_SET)) / 100: _members(cells, info.classes)
                    for name, cells in columns.items()
                    if name.startswith(_SET)
                }
            }
            for name, key in (("none_of_these", "out_of_distribution"), ("unsure", "unsure")):
                if name in columns:
                    optional[key] = np.array([cell == "1" for cell in columns[name]])
            for name, key in (("subgroup", "subgroups"), ("group", "groups")):
                if name in columns:
                    optional[key] = tuple(columns[name])
            if "decision" in columns:
                optional["decided"] = info.asks.encode_labels(columns["decision"], info.classes, info.output)
            if "fold" in columns:
                optional["folds"] = np.array(columns["fold"], np.int64) - 1
            own = info.asks.read_columns(columns, info.classes, info.output)
            confidences = np.array(columns["confidence"], np.float32)
            return cls(info.task, info.classes, tuple(columns["path"]), confidences=confidences, **own, **optional)
        except OSError as error:
            raise RunError(f"{path}: cannot be read; mirante evaluate {path.parent} recreates it.") from error
        except (KeyError, ValueError, TypeError, IndexError, csv.Error, DataError) as error:
            raise RunError(f"{path}: damaged; mirante evaluate {path.parent} recreates it.") from error

    @classmethod
    def join(cls, parts: Sequence[Predictions], order: NDArray[np.int64]) -> Predictions:
        """Return the tables concatenated, with rows in the given order."""
        first = parts[0]
        joined: dict[str, Any] = {}
        for one in fields(cls):
            values = [getattr(part, one.name) for part in parts]
            if isinstance(values[0], np.ndarray):
                joined[one.name] = np.concatenate(values)[order]
            elif isinstance(values[0], Mapping):
                joined[one.name] = {key: np.concatenate([value[key] for value in values])[order] for key in values[0]}
            elif isinstance(values[0], tuple) and one.name != "classes":
                whole = [item for value in values for item in value]
                joined[one.name] = tuple(whole[row] for row in order)
        return replace(first, **joined)

    def _in_words(self, targets: NDArray[np.int64]) -> list[str]:
        return task_named(self.task).label_names(targets, self.classes)


def set_column(coverage: float) -> str:
    """Return the name of the column that holds the prediction sets of a coverage."""
    return f"{_SET}{100 * coverage:g}"


def _members(cells: Sequence[str], classes: Sequence[str]) -> NDArray[np.bool_]:
    found = [set(json.loads(cell)) for cell in cells]
    return np.array([[name in names for name in classes] for names in found], dtype=bool).reshape(len(cells), -1)
