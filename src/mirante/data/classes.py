"""Which classes there are, in which order, and whether each has enough images."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirante.data.labels import Labelled
from mirante.errors import DataError


def choose_classes(
    word: str,
    rows: list[Labelled],
    chosen: Sequence[str] | None,
    official: tuple[str, ...] | None,
    model: Sequence[str] | None,
) -> tuple[list[Labelled], tuple[str, ...]]:
    """Return the rows that are wanted, and the names of the classes in order.

    chosen    the classes that the person wants, in that order; None for all
    official  the order that the source gives; None sorts the names
    model     the classes of a model to be tested, among which the labels must be

    Raises DataError for a class that is not there, a single one, or labels that look alike.
    """
    present = {row.label for row in rows}
    _refuse_look_alikes(word, present)
    names = tuple(name for name in official if name in present) if official else tuple(sorted(present, key=_natural))
    if chosen is not None:
        if unknown := [name for name in chosen if name not in present]:
            raise DataError(f"{word}: no class {unknown[0]!r} (--classes); there are {', '.join(names)}.")
        names = tuple(dict.fromkeys(chosen))
        rows = [row for row in rows if row.label in names]
    if model is not None:
        if unknown := [name for name in names if name not in model]:
            raise DataError(
                f"{word}: class {unknown[0]!r} is none of the model's, which are {', '.join(model)}; rename it, or choose "
                "classes with --classes."
            )
        return rows, tuple(model)
    if len(names) < 2:
        raise DataError(
            f"{word}: only one class, {names[0]!r}; a classifier needs at least two. Each class is a folder of images, "
            "side by side with the others."
        )
    return rows, names


def require_enough(
    word: str,
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    units: Sequence[str],
    given: list[str | None],
    val_share: float,
) -> None:
    """Raise DataError when a class has fewer different images (or groups) than there are splits to draw."""
    to_draw = ("test" not in given) + (val_share > 0 and "val" not in given)
    free = np.array([split in (None, "train") for split in given])
    for number, name in enumerate(names):
        have = len({units[int(row)] for row in np.flatnonzero(free & (labels == number))})
        if have < to_draw + 1:
            raise DataError(
                f"{word}: class {name!r} has {have} different training image{'' if have == 1 else 's'} (or groups), and "
                f"needs {to_draw + 1}: one for each of train{', val' if val_share > 0 else ''} and test. Add images or "
                "leave the class out with --classes."
            )


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort '2' before '10', and letters as they come.

    >>> sorted(["b", "10", "a10", "2", "a2", "é"], key=_natural)
    ['2', '10', 'a2', 'a10', 'b', 'é']
    """
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(piece), piece) if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces)


def _refuse_look_alikes(word: str, labels: set[str]) -> None:
    seen: dict[str, str] = {}
    for label in sorted(labels):
        key = "".join(unicodedata.normalize("NFC", label).casefold().split())
        other = seen.setdefault(key, label)
        if other != label:
            raise DataError(
                f"{word}: the labels {other!r} and {label!r} differ only by case or spaces; make them one, or give them "
                "names that a person can tell apart. Nothing was merged."
            )
