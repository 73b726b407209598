"""What happens to each photo: what a person said about it, or else what the model answers, if it is sure enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mirante.data.entries import Entry, Skipped, printable
from mirante.photos.arrange import Decided
from mirante.photos.walk import Photo
from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream
from mirante.progress import track
from mirante.tasks.classify.prediction import Prediction

MIN_CONFIDENCE = 0.8
"""The probability below which a photo goes to review, unless a person chooses another."""


def decide_photos(
    model: Model,
    folder: Path,
    photos: Iterable[Photo],
    said: Mapping[str, str | None],
    min_confidence: float = MIN_CONFIDENCE,
) -> tuple[dict[str, Decided], list[Skipped]]:
    """Return path → what is decided, and the photos that cannot be read.

    said  path → the class that a person gave; None where a person was not sure

    A photo is unsure where the model says none of these, or its answer has a lower probability than `min_confidence`.
    """
    decided: dict[str, Decided] = {}
    skipped: list[Skipped] = []
    asked = []
    for photo in photos:
        label = said.get(photo.path)
        if label is not None:
            decided[photo.path] = Decided(label, 1.0, False)
        else:
            asked.append(photo.path)
    answers = predict_stream(model, (Entry(path, folder / path) for path in asked))
    for path, (_, found, _) in zip(asked, track(answers, "Looking at photos", len(asked)), strict=True):
        if isinstance(found, Skipped):
            skipped.append(Skipped(printable(path), found.reason))
            continue
        assert isinstance(found, Prediction)
        unsure = found.none_of_these or found.nearest_confidence < min_confidence or path in said
        decided[path] = Decided(found.nearest, found.nearest_confidence, unsure)
    return decided, skipped
