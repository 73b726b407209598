"""What happens to each photo: what a person said about it, or else what the model answers, if it is sure enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mirante.data.entries import Entry, Skipped, printable
from mirante.data.films import INTERVAL, is_film
from mirante.errors import ImageError, RequestError
from mirante.photos.arrange import Decided
from mirante.photos.walk import Photo
from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream
from mirante.progress import track
from mirante.task import Task
from mirante.timeline import Stretch, answer_of

MIN_CONFIDENCE = 0.8
"""The probability below which a photo goes to review, unless a person chooses another."""


def require_rule(model: Model, rule: Sequence[str], sorts: bool) -> None:
    """Raise RequestError for a rule that does not fit the model; `sorts` tells whether photos go into folders."""
    if model.asks.one_class:
        if rule:
            raise RequestError(
                "--rule is for a model of several labels; this one answers one class, which names the folder."
            )
        return
    if not model.asks.several_labels:
        model.require_one_class("photos in folders")
    if unknown := [name for name in rule if name not in model.classes]:
        raise RequestError(f"--rule {unknown[0]}: no such label; the labels are {', '.join(model.classes)}.")
    if sorts and not rule:
        raise RequestError(
            "a photo may have several labels, and lies in one folder: --rule A,B,C says which, the first of these that it has. "
            "Without --into, the labels become keywords in XMP sidecars."
        )


def decide_photos(
    model: Model,
    folder: Path,
    photos: Iterable[Photo],
    said: Mapping[str, Any],
    min_confidence: float = MIN_CONFIDENCE,
    rule: Sequence[str] = (),
    interval: float = INTERVAL,
) -> tuple[dict[str, Decided], list[Skipped]]:
    """Return path → what is decided, and the photos that cannot be read. Films have the answer of their timeline.

    said  path → the class that a person gave, None where a person was not sure; of a model of several labels, path → label → 1 the
          photo has it, 0 it does not, -1 not sure
    rule  of a model of several labels, those that name folders: a photo goes into that of the first one that it has

    interval  seconds between the frames of a film that are looked at

    A photo is unsure where the model says none of these, or its answer has a lower probability than `min_confidence`.
    """
    decided: dict[str, Decided] = {}
    skipped: list[Skipped] = []
    asked: list[str] = []
    films: list[str] = []
    several = model.asks.several_labels
    for photo in photos:
        label = None if several else said.get(photo.path)
        if label is not None:
            decided[photo.path] = Decided(label, 1.0, False)
        else:
            (films if is_film(photo.path) else asked).append(photo.path)
    answers = predict_stream(model, (Entry(path, folder / path) for path in asked))
    for path, (_, found, _) in zip(asked, track(answers, "Looking at photos", len(asked)), strict=True):
        if isinstance(found, Skipped):
            skipped.append(Skipped(printable(path), found.reason))
        else:
            decided[path] = (
                _decided_labels(model.asks.keywords(found), min_confidence, rule, said.get(path, {}))
                if several
                else _decided(found, model.asks, min_confidence, path in said)
            )
    for path in track(films, "Looking at films", len(films)):
        try:
            stretches = model.timeline(folder / path, interval)
        except ImageError as error:
            skipped.append(Skipped(printable(path), str(error).removeprefix(f"{folder / path}: ")))
            continue
        if several:
            decided[path] = _decided_labels(_strongest(stretches), min_confidence, rule, said.get(path, {}))
        else:
            label, share = answer_of(stretches)
            decided[path] = Decided(label or "", share, label is None or share < min_confidence or path in said)
    return decided, skipped


def _strongest(stretches: Sequence[Stretch]) -> list[tuple[str, float]]:
    """Return the labels that a film has at any time, each with the probability of its surest stretch."""
    shares: dict[str, float] = {}
    for one in stretches:
        if one.label is not None:
            shares[one.label] = max(one.confidence, shares.get(one.label, 0.0))
    return sorted(shares.items(), key=lambda one: -one[1])


def _decided(found: Any, task: Task, min_confidence: float, doubted: bool) -> Decided:
    label, confidence = task.keywords(found)[0]
    return Decided(label, confidence, found.none_of_these or confidence < min_confidence or doubted)


def _decided_labels(
    told: Sequence[tuple[str, float]], min_confidence: float, rule: Sequence[str], said: Mapping[str, int]
) -> Decided:
    sure = {name: 1.0 for name, has in said.items() if has > 0}
    sure |= {name: share for name, share in told if share >= min_confidence and name not in said}
    label = next((name for name in rule if name in sure), "")
    return Decided(label, sure.get(label, 0.0), not label, tuple(sure.items()))
