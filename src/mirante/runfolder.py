"""The run folder: the names of its files, and model.json, which says what the network takes and answers.

Training writes it, everything else reads it. Nothing in a run is executed when it is read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RunError
from mirante.files import to_json
from mirante.images import FITS, Fit

FORMAT = 1
"""Raised when a file of a run changes its meaning; a run of a higher format is refused."""

RECIPE = "recipe.toml"
DATA = "data.json"
HISTORY = "history.csv"
CHECKPOINT = "checkpoint"
SNAPSHOTS = "snapshots"
WEIGHTS = "model.safetensors"
MODEL = "model.json"
ONNX = "model.onnx"
PREDICTIONS = "predictions.csv"
METRICS = "metrics.json"
REPORT = "report.html"
CARD = "model-card.md"
PLOTS = "plots"
HEATMAPS = "heatmaps.png"


@dataclass(frozen=True)
class ModelInfo:
    """What a trained network takes and answers.

    classes      names, in the order of its outputs
    height, width, channels   the images it takes, uint8 (N, height, width, channels)
    fit          how an image of another shape comes to that size (mirante.images.Fit)
    layers       its line of layers, or the path.py:function that made it
    temperature  what its logits are divided by before the softmax, fitted on validation images; 1 changes nothing
    flip_tta     whether it answers with the mean over each image and its mirror image
    licence      of pretrained weights, if it started from any
    seen_with    the name under which what its backbone says of images is kept in the cache; empty where all of it was trained
    scales, shifts   by class, of the logits before the softmax, where that was better than one temperature; else empty
    conformal_thresholds  the probability from which on a class is plausible, by class and promise (mirante.prediction.conformal); or empty
    ood_threshold   images of more ood_score are none of the classes, probably; None when that is not known
    positive     the class that is answered whenever its probability reaches `threshold`; None answers the most probable class
    threshold    of its probability, chosen on images that the network was not trained on
    characters   where texts are read: of the longest one; the classes are then those of each character, the last one, "", is none
    power        where texts are read: what the product of the probabilities of its characters is raised to, to be that of the text
    confidence_threshold   where texts are read: a text of a lower probability is unsure
    class_weights  by class, what probabilities are multiplied by before the largest is the answer, where classes are very
                 unequal; else empty. The probabilities that are told stay as they are
    """

    classes: tuple[str, ...]
    height: int
    width: int
    channels: Literal[1, 3]
    fit: Fit
    layers: str
    temperature: float = 1.0
    flip_tta: bool = False
    licence: str | None = None
    seen_with: str = ""
    scales: tuple[float, ...] = ()
    shifts: tuple[float, ...] = ()
    conformal_thresholds: tuple[tuple[float, ...], ...] = ()
    ood_threshold: float | None = None
    positive: str | None = None
    threshold: float | None = None
    class_weights: tuple[float, ...] = ()
    characters: int = 0
    power: float = 1.0
    confidence_threshold: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def calibration(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What logits are multiplied by, and what is then added, each (classes,)."""
        scales = self.scales or [1 / self.temperature] * len(self.classes)
        return np.array(scales, np.float32), np.array(self.shifts or [0] * len(self.classes), np.float32)

    @property
    def decides(self) -> bool:
        """Whether something else than the most probable class can be the answer."""
        return self.positive is not None or bool(self.class_weights)

    @property
    def positive_number(self) -> int | None:
        return None if self.positive is None else self.classes.index(self.positive)

    def to_json(self) -> str:
        return to_json({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str, where: str) -> ModelInfo:
        """Read it back; `where` names the file in messages. Raises RunError."""
        value = parse(text, where)
        try:
            info = cls(**{key: value[key] for key in cls.__dataclass_fields__ if key in value})
            sound = info.height > 0 and info.width > 0 and info.channels in (1, 3) and info.fit in FITS
            for values in (info.scales, info.shifts, info.conformal_thresholds, info.class_weights):
                sound = sound and len(values) in (0, len(info.classes))
            if info.positive is not None:
                sound = sound and info.positive in info.classes and 0 <= float(info.threshold or 0) <= 1
            if info.characters:
                sound = sound and info.classes[-1] == "" and info.characters > 0 and float(info.power) > 0
            if not (sound and len(info.classes) > 1 and info.temperature > 0):
                raise ValueError
        except (TypeError, ValueError) as error:
            raise RunError(f"{where}: damaged: it does not describe a model; train it again.") from error
        return replace(
            info,
            classes=tuple(info.classes),
            scales=tuple(info.scales),
            shifts=tuple(info.shifts),
            class_weights=tuple(info.class_weights),
            conformal_thresholds=tuple(tuple(one) for one in info.conformal_thresholds),
        )


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the JSON object of a run's file; raises RunError when it is damaged or of a newer Mirante."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise RunError(f"{where}: damaged: not JSON; train it again, or restore the file.") from error
    if not isinstance(value, dict):
        raise RunError(f"{where}: damaged: not what Mirante writes there; restore the file.")
    if isinstance(value.get("format"), int) and value["format"] > FORMAT:
        raise RunError(
            f"{where}: written by a newer Mirante (format {value['format']}, this one reads {FORMAT}); update."
        )
    return value


def read_text(run: Path, name: str) -> str:
    """Return a text file of a run; raises RunError when it is missing or no text."""
    path = require_file(run, name)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read; restore the file or train again.") from error


def read_json(run: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of a run; raises RunError."""
    return parse(read_text(run, name), str(run / name))


def read_model(run: Path) -> ModelInfo:
    """Return the run's model.json; raises RunError."""
    return ModelInfo.from_json(read_text(run, MODEL), str(run / MODEL))


def require_file(run: Path, name: str) -> Path:
    """Return the path of a file of a run; raises RunError when it is not there, and says why."""
    require_run(run)
    path = run / name
    if not path.exists():
        unfinished = f"the training has not finished; mirante train --resume --out {run} goes on with it"
        raise RunError(f"{path}: not there; {unfinished if (run / CHECKPOINT).is_dir() else 'train the model again'}.")
    return path


def is_run(path: Path) -> bool:
    """Tell whether a folder is a run of Mirante, finished or not."""
    return (path / RECIPE).is_file() and (path / DATA).is_file()


def require_run(path: Path) -> None:
    """Raise RunError unless `path` is a run folder."""
    if not path.exists():
        raise RunError(f"{path}: no such run; `mirante train DATA` makes one under runs/.")
    if not is_run(path):
        raise RunError(f"{path}: not a run of Mirante (it has no {RECIPE} and {DATA}).")
