"""What a person said about photos, as targets: those to learn from, and those that judge the model before and after."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from mirante.data.classes import known_as
from mirante.photos.library import Answer, is_kept_apart, labels_of, several_of

NEEDED = 5
"""Answers that a new class needs before a model learns it."""


@dataclass(frozen=True)
class Said:
    """What a person said that can be used: digest → target, of the photos to learn from and of those that judge both models.

    A target is a class number, or for several labels (labels,) 1 yes, 0 no, -1 not known.
    """

    taught: dict[str, Any]
    jury: dict[str, Any]
    classes: tuple[str, ...]
    waiting: dict[str, int]


def said_classes(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> Said:
    """Return what was said about one class of several; photos of questions drawn at random judge, if no model has seen them."""
    labels = {digest: known_as(label, classes) for digest, label in labels_of(answers).items() if label is not None}
    drawn = {one.digest for one in answers if one.kind == "random"}
    new = dict.fromkeys(label for label in labels.values() if label not in classes)
    teaching = Counter(label for digest, label in labels.items() if digest not in tested and digest not in drawn)
    counts = {label: teaching[label] for label in new}
    classes = (*classes, *(label for label, count in counts.items() if count >= NEEDED))
    usable = {
        digest: classes.index(label) for digest, label in labels.items() if label in classes and digest not in tested
    }
    return Said(
        {digest: number for digest, number in usable.items() if digest not in drawn},
        {digest: number for digest, number in usable.items() if digest in drawn - trained},
        classes,
        {label: count for label, count in counts.items() if count < NEEDED},
    )


def said_labels(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> Said:
    """Return what was said about several labels.

    Of photos that are kept apart nothing is learned; answers to questions drawn at random about them judge, if no model has seen them.
    A new label needs photos that have it and as many that do not.
    """
    usable = [
        (digest, known_as(label, classes), one.has)
        for digest, labels in several_of(answers).items()
        for label, one in labels.items()
        if one.has in (0, 1)
        and digest not in tested
        and not (is_kept_apart(digest) and (digest in trained or one.kind != "random"))
    ]
    counts = Counter(
        (label, has) for digest, label, has in usable if label not in classes and not is_kept_apart(digest)
    )
    new = {label: min(counts[label, 0], counts[label, 1]) for label, _ in counts}
    classes = (*classes, *(label for label, count in new.items() if count >= NEEDED))
    said = Said({}, {}, classes, {label: count for label, count in new.items() if count < NEEDED})
    for digest, label, has in usable:
        if label in classes:
            part = said.jury if is_kept_apart(digest) else said.taught
            part.setdefault(digest, np.full(len(classes), -1))[classes.index(label)] = has
    return said
