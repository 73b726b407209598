"""What you should know about labelled images before training on them, found without decoding any."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import alike_names
from mirante.locale import Language

TAUGHT = "Trained further on {count} photos that a person confirmed; the previous model is kept in {folder}."
"""The text of the note of a run that learned from photos after its training."""


@dataclass(frozen=True, repr=False)
class Note:
    """Something you should know about the data; `values` fill the braces of `text`.

    grave  whether it makes the figures of a model trained on this data unreliable; None if it only says how things are
    """

    text: str
    values: dict[str, Any]
    grave: bool | None = False

    def __str__(self) -> str:
        return self.text.format(**self.values)

    def __repr__(self) -> str:
        return f"<Note: {self}>"

    def said(self, say: Language) -> str:
        """Return it in the user's language; names of properties are translated, those of classes and files are not."""
        values = {
            name: say.number(value, 2)
            if isinstance(value, float)
            else say.known(value)
            if name in ("property", "window")
            else value
            for name, value in self.values.items()
        }
        return say(self.text, **values)


def find_notes(
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    alike: NDArray[np.int64],
    splits: NDArray[np.str_],
    digests: Sequence[str],
    groups: Sequence[str] | None,
) -> tuple[Note, ...]:
    """Return the notes on N images: copies, leaks, contradictions, split groups, unequal classes.

    names, labels  the class names, and (N,) the class number of each image; or (N, names), above 0 where it has a label
    alike          (N,) numbers, equal for equal labels; if an image has several answers, for equal answers
    """
    notes = []
    copies: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests if len(set(digests)) < len(digests) else ()):
        copies[digest].append(row)
    repeated = [found for found in copies.values() if len(found) > 1]
    leaks = sum(len(set(splits[found].tolist())) > 1 for found in repeated)
    contradictions = sum(len(set(alike[found].tolist())) > 1 for found in repeated)
    if repeated:
        count = sum(map(len, repeated)) - len(repeated)
        notes.append(Note("Byte-identical copies of other images: {count}.", {"count": count}))
    if leaks:
        text = "Images that are in more than one split, byte for byte: {count}. Test figures are too optimistic."
        notes.append(Note(text, {"count": leaks}))
    if contradictions:
        text = "Images whose copies have a different label: {count}. One of the two labels is wrong."
        notes.append(Note(text, {"count": contradictions}))
    if groups is not None:
        sides: dict[str, set[str]] = defaultdict(set)
        for group, split in zip(groups, splits.tolist(), strict=True):
            sides[group].add(split)
        if cut := sum(len(found) > 1 for found in sides.values()):
            text = "Groups that are in more than one split: {count}. Test figures are too optimistic."
            notes.append(Note(text, {"count": cut}))
    for one, other in alike_names(names):
        text = "The class names {one} and {other} look alike: are they one class?"
        notes.append(Note(text, {"one": one, "other": other}))
    if labels.ndim == 1 and (values := unequal_classes(names, labels)):
        notes.append(Note("The classes are very unequal: {count} images of {most}, {few} of {least}.", values))
    return tuple(notes)


def unequal_classes(names: tuple[str, ...], labels: NDArray[np.int64]) -> dict[str, Any]:
    """Return the largest and the smallest class and their counts, if one has five times as many images; else nothing."""
    counts = Counter(labels.tolist()).most_common()
    (most, count), (least, few) = counts[0], counts[-1]
    return {"most": names[most], "least": names[least], "count": count, "few": few} if count >= 5 * few else {}
