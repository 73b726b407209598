"""What a finished run answers, for the pages: its predictions with their images, the inside of the model, and nearest neighbours.

A run is opened once and kept. Images are those of the run's own data, as the network sees them.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.features import unit_rows
from mirante.data.several import parse
from mirante.errors import RequestError, RunError
from mirante.evaluation.card_text import Question
from mirante.evaluation.roc import decisions
from mirante.images import Pixels
from mirante.locale import Language
from mirante.predictions import Row
from mirante.run import Run
from mirante.see.inside import Inside

MAX_NEIGHBOURS_FROM = 2000  # training images to search, drawn at random
PAGE = 60
NOTED = 0.95  # the coverage whose prediction sets are shown
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Filter:
    """Which answers are wanted; empty texts and None leave a thing open. Confidences from 0 to 1.

    several  whether `label` and `predicted` are each one of several labels, wanted or, after a "!", not
    """

    label: str = ""
    predicted: str = ""
    right: bool | None = None
    least: float = 0.0
    most: float = 1.0
    several: bool = False

    def takes(self, one: Row) -> bool:
        """Tell whether an answer is among them."""
        return (
            self._fits(self.label, one.label)
            and self._fits(self.predicted, one.predicted)
            and self.right in (None, one.right)
            and self.least <= one.confidence <= self.most
        )

    def _fits(self, wanted: str, told: str) -> bool:
        if not (self.several and wanted):
            return wanted in ("", told)
        yes, not_known = parse(told)
        return wanted[1:] not in (*yes, *not_known) if wanted.startswith("!") else wanted in yes


class Opened:
    """A finished run: `answers` to its test images, its model, and its images."""

    def __init__(self, path: Path) -> None:
        self.run = Run(path)
        self.path = path
        self.metrics = self.run.metrics
        self.model = self.run.model()
        if not self.model.asks.has_pages:
            self.model.require_one_class("these pages")
        self.info = self.model.info
        self.predictions = self.run.predictions()
        self.answers = list(self.predictions)
        self.inside = Inside(path)
        self._data: tuple[dict[str, int], Pixels, Dataset] | None = None
        self._features: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None
        self._map: tuple[tuple[str, ...], NDArray[np.float64]] | None = None

    def image(self, path: str) -> Pixels:
        """Return an image of the run's data by its path, uint8 (H, W, C); raises RunError when it is not there."""
        rows, pixels, _ = self._images()
        if path not in rows:
            raise RunError(f"{path}: no longer among the images of {self.path.name}.")
        image: Pixels = pixels[rows[path]]
        return image

    def nearest(self, image: Pixels, count: int = 8) -> list[tuple[str, str, float]]:
        """Return (path, label, cosine similarity) of the training images that the network sees most alike.

        Images are alike when their values in the last layer before the classes are similar.
        """
        _, pixels, dataset = self._images()
        with _LOCK:
            if self._features is None:
                rows = (dataset.asking("") if dataset.folds else dataset).rows("train")
                rows = np.sort(np.random.default_rng(0).permutation(rows)[:MAX_NEIGHBOURS_FROM])
                self._features = rows, unit_rows(self.inside.features(pixels[rows]))
        rows, features = self._features
        alike = features @ unit_rows(self.inside.features(image[None]))[0]
        best = np.argsort(-alike, kind="stable")[:count]
        labels = self.model.asks.label_names(dataset.targets[rows[best]], dataset.classes)
        return [(dataset.paths[rows[one]], label, float(alike[one])) for one, label in zip(best, labels, strict=True)]

    def map_of(self, paths: Sequence[str]) -> NDArray[np.float64]:
        """Return places (N, 2) from 0 to 1 for these images, similar ones beside each other; worked out once."""
        from mirante.studio.layout import two_dimensions

        rows, pixels, _ = self._images()
        with _LOCK:
            if self._map is None or self._map[0] != tuple(paths):
                seen = self.inside.features(np.stack([pixels[rows[path]] for path in paths]))
                self._map = tuple(paths), two_dimensions(seen)
            return self._map[1]

    def _images(self) -> tuple[dict[str, int], Pixels, Dataset]:
        with _LOCK:
            if self._data is None:
                dataset, pixels = self.run.dataset().load(
                    self.info.size, self.info.channels, self.info.fit, self.info.rendering
                )
                self._data = {path: row for row, path in enumerate(dataset.paths)}, pixels, dataset
            return self._data


def open_run(path: Path) -> Opened:
    """Return a finished run, from memory unless its files have changed. Raises RunError."""
    stamp = runfolder.require_file(path, runfolder.METRICS).stat().st_mtime_ns
    return _opened(path, stamp)


@lru_cache(maxsize=4)
def _opened(path: Path, stamp: int) -> Opened:
    return Opened(path)


def select(answers: Sequence[Row], wanted: Filter, page: int) -> tuple[list[Row], int]:
    """Return a page of the answers that are wanted, the least sure first where they are right, and how many there are."""
    found = [one for one in answers if wanted.takes(one)]
    found.sort(key=lambda one: (one.right, one.confidence if one.right else -one.confidence))
    return found[page * PAGE : (page + 1) * PAGE], len(found)


def png(pixels: Pixels, least: int = 0) -> bytes:
    """Return an image uint8 (H, W, C) as PNG, its pixels enlarged as squares until it has at least `least` a side."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    times = max(1, -(-least // max(image.size)))
    if times > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def find(opened: Opened, row: int) -> Row:
    """Return the answer of a row of predictions.csv; raises RequestError."""
    if not 0 <= row < len(opened.answers):
        raise RequestError(f"image {row}: {opened.path.name} has answered only {len(opened.answers)} images.")
    return opened.answers[row]


def answer_json(opened: Opened, pixels: Pixels, say: Language) -> dict[str, Any]:
    """Return what the model answers for one image uint8 (H, W, C), as JSON; `note` says how far to trust it."""
    coverage = NOTED if opened.model.asks.promises_coverage(opened.info) else None
    one: Any = next(opened.model.answer([(None, pixels)], coverage))
    several = opened.model.asks.several_labels
    label = in_words(one.label, say) if several else say("none of these") if one.label is None else one.label
    note = []
    if one.none_of_these:
        unlike = say("It looks unlike any training image, so do not rely on its labels.")
        note.append(unlike if several else say("It looks unlike any training image: probably none of these classes."))
    elif several and one.prediction_set is not None:
        names = ", ".join(one.prediction_set) or "–"
        note.append(say("With a promise of {share}: {names}.", share=say.percent(NOTED, 0), names=names))
    elif one.prediction_set is not None and one.unsure:
        names = ", ".join(one.prediction_set) or "–"
        note.append(say("It is unsure. With a promise of {share}: {names}.", share=say.percent(NOTED, 0), names=names))
    return {
        "label": label,
        "confidence": None if several else one.confidence,
        "nearest": label if several else one.nearest,
        "none_of_these": one.none_of_these,
        "prediction_set": one.prediction_set,
        "note": " ".join(note),
        "probabilities": [
            [one.classes[number], float(one.probabilities[number])] for number in one.order[:20].tolist()
        ],
        "has": list(one.labels) if several else None,
        "said": " | ".join(one.labels) if several else one.label or "",
        "classes": list(one.classes),
        "teachable": opened.model.asks.is_taught,
    }


_FEW = 50  # test images, below which an accuracy says little


def summary(opened: Opened, say: Language) -> dict[str, str]:
    """Return how many test images a run answers rightly, and how little that says where they are few."""
    figure, count = opened.metrics["accuracy"], opened.metrics["images"]
    interval = say(
        "{right} of {count} images that it had not seen are right; for many more like them, between {low} and {high} is likely.",
        right=say.number(round(figure["value"] * count)),
        count=say.number(count),
        low=say.percent(figure["low"], 0),
        high=say.percent(figure["high"], 0),
    )
    few = say("These are few images: more of them would tell more, and teach more.") if count < _FEW else ""
    return {"accuracy": say.percent(figure["value"], 0), "honest": f"{interval} {few}".strip()}


def in_words(labels: str, say: Language) -> str:
    """Return labels as predictions write them, `cat|dog`, as a page shows them."""
    yes, not_known = parse(labels)
    return ", ".join([*yes, *(say("{label}?", label=name) for name in not_known)]) or say("no label")


def at_threshold(opened: Opened, positive: str, threshold: float, prevalence: float, say: Language) -> dict[str, Any]:
    """Return what deciding for a class from a given probability would have brought, in people per 1,000. Raises RequestError."""
    if positive not in opened.info.classes or not 0 <= threshold <= 1 or not 0 < prevalence < 1:
        raise RequestError(
            f"{positive!r} at {threshold:g}, {prevalence:g}: need a class of the run and two shares between 0 and 1."
        )
    number = opened.info.classes.index(positive)
    table = opened.predictions
    has = table.targets[:, number] if table.targets.ndim == 2 else (table.targets == number).astype(np.int64)
    known = has >= 0
    found = decisions(table.probabilities[known, number] >= threshold, has[known] > 0, prevalence)
    sensitivity, specificity = found["sensitivity"], found["specificity"]
    ill = 1000 * prevalence
    missed = round(ill) - round(sensitivity["value"] * round(ill))
    alarms = round((1 - specificity["value"]) * (1000 - round(ill)))
    return {
        "people": {
            "found": round(ill) - missed,
            "missed": missed,
            "alarms": alarms,
            "clear": 1000 - round(ill) - alarms,
        },
        "sensitivity": sensitivity["value"],
        "specificity": specificity["value"],
        "sentence": say(
            "Of 1,000 images like these, {ill} of them {name}: {found} found, {missed} missed, {alarms} false alarms.",
            ill=say.number(ill),
            name=positive,
            found=say.number(sensitivity["value"] * ill),
            missed=say.number(ill - round(sensitivity["value"] * ill)),
            alarms=say.number((1 - specificity["value"]) * (1000 - ill)),
        ),
        "shares": say(
            "Sensitivity {sensitivity} ({low} – {high}), specificity {specificity} ({least} – {most}).",
            sensitivity=say.percent(sensitivity["value"]),
            low=say.percent(sensitivity["low"]),
            high=say.percent(sensitivity["high"]),
            specificity=say.percent(specificity["value"]),
            least=say.percent(specificity["low"]),
            most=say.percent(specificity["high"]),
        ),
    }


def card(opened: Opened, say: Language) -> list[Question]:
    """Return the model card of a run that answers one class."""
    from mirante.tasks.classify.card import card_of  # imports the plotting code: only when needed

    grave = [note.said(say) for note in opened.run.notes if note.grave]
    return card_of(opened.metrics, opened.run.data, opened.info, None, grave, say)
