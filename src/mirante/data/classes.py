"""Which classes there are, in which order, and whether each has enough images."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mirante.data.labels import Labelled
from mirante.data.targets import LabelOptions
from mirante.errors import DataError


def choose_classes(
    location: str, rows: list[Labelled], options: LabelOptions
) -> tuple[list[Labelled], tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the wanted rows, the class names in order, and the pairs of names that were merged.

    Raises DataError for an unknown class, a single class, or labels that look alike.
    """
    counts = Counter(row.label for row in rows)
    written = usual_names(counts)
    if any(label != name for label, name in written.items()):
        rows = [row._replace(label=written[row.label]) for row in rows]
        counts = Counter(row.label for row in rows)
    present = set(counts)
    merged = look_alikes(counts)
    if merged and not options.lenient:
        one, other = merged[0]
        raise DataError(
            f"{location}: the labels {one!r} and {other!r} differ only by case or spaces; merge them, or give them "
            "names that people can tell apart. Nothing was merged."
        )
    if merged:
        names_of = {other: one for one, other in merged}
        rows = [row._replace(label=names_of.get(row.label, row.label)) for row in rows]
        present -= names_of.keys()
    official, chosen, model = options.official, options.classes, options.model
    wanted = options.lost if chosen is None else [name for name in options.lost if name in chosen]
    if wanted and model is None and not options.lenient:
        name = next(iter(wanted))
        raise DataError(
            f"{location}: class {name!r} has no image that can be read ({options.lost[name]}), so no model would know it. Add or mend "
            "its images, remove its folder, or name the other classes with --classes."
        )
    names = tuple(name for name in official if name in present) if official else tuple(sorted(present, key=natural))
    if chosen is not None:
        chosen = [unicodedata.normalize("NFC", name) for name in chosen]
        if unknown := [name for name in chosen if name not in present]:
            raise DataError(f"{location}: no class {unknown[0]!r} (--classes); the classes are {', '.join(names)}.")
        names = tuple(dict.fromkeys(chosen))
        rows = [row for row in rows if row.label in names]
    if model is not None:
        if unknown := [name for name in names if name not in model]:
            raise DataError(
                f"{location}: class {unknown[0]!r} is not one of the model's, which are {', '.join(model)}; rename it, or choose "
                "classes with --classes."
            )
        return rows, tuple(model), merged
    if len(names) < 2:
        raise DataError(
            f"{location}: only one class, {names[0]!r}; a classifier needs at least two. Put each class in its own folder, "
            "next to the others."
        )
    return rows, names, merged


def usual_names(labels: Iterable[str]) -> dict[str, str]:
    """Return label → class name: letters composed as most systems do, and whole numbers without the .0 that pandas writes.

    >>> usual_names(["1.0", "2"]), usual_names(["1.0", "a"])
    ({'1.0': '1', '2': '2'}, {'1.0': '1.0', 'a': 'a'})
    """
    written = {label: unicodedata.normalize("NFC", label) for label in labels}
    if all(re.fullmatch(r"-?\d+(\.0)?", label) for label in written.values()):
        written = {label: name.removesuffix(".0") for label, name in written.items()}
    return written


def class_of(label: str, classes: Collection[str]) -> str | None:
    """Return the class that a label names as it is, composed as most systems do, as a path in a tree, or without the .0 of pandas."""
    composed = unicodedata.normalize("NFC", label)
    written = (label, composed, tidy_path(composed), *usual_names([composed]).values())
    return next((one for one in written if one in classes), None)


def letters(label: str) -> str:
    """Return what two ways to write a label have in common: however its letters are composed, large or small."""
    return unicodedata.normalize("NFC", label.strip()).casefold()


def known_as(label: str, classes: Collection[str]) -> str:
    """Return a label as a model writes it, where it knows it in other letters, or as a path, or a number in another form."""
    same = (one for one in classes if letters(one) == letters(label))
    return class_of(label.strip(), classes) or next(same, unicodedata.normalize("NFC", label.strip()))


def require_enough(
    location: str,
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
                f"{location}: class {name!r} has {have} different training image{'' if have == 1 else 's'} (or groups), and "
                f"needs {to_draw + 1}: one for each of train{', val' if val_share > 0 else ''} and test. Add images or "
                "leave the class out with --classes."
            )


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort '2' before '10', and letters by code point.

    >>> sorted(["b", "10", "a10", "2", "a2", "é"], key=natural)
    ['2', '10', 'a2', 'a10', 'b', 'é']
    """
    pieces = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(piece), piece) if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces)


def upwards(path: str) -> list[str]:
    """Return a path and the paths that it lies in, from the top.

    >>> upwards("animal/bird/owl")
    ['animal', 'animal/bird', 'animal/bird/owl']
    """
    parts = path.split("/")
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]


def tidy_path(label: str) -> str:
    """Return a label as a path without spaces around its slashes, and without a slash at either end.

    >>> tidy_path("animal / bird//owl/")
    'animal/bird/owl'
    """
    return "/".join(part.strip() for part in label.split("/") if part.strip())


def alike_names(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names that differ only by accents, hyphens and the like.

    >>> alike_names(["Ipê", "ipe-", "avó", "avô", "rosa"])
    (('Ipê', 'ipe-'), ('avó', 'avô'))
    """

    def plain(name: str) -> str:
        letters = unicodedata.normalize("NFKD", name).casefold()
        return "".join(letter for letter in letters if letter.isalnum() and not unicodedata.combining(letter)) or name

    return _pairs(names, plain)


def look_alikes(labels: Counter[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of labels that differ only by case or spaces, the more frequent first; `labels` counts each."""
    frequent = sorted(labels, key=lambda label: (-labels[label], label))
    return _pairs(frequent, lambda label: "".join(unicodedata.normalize("NFC", label).casefold().split()))


def _pairs(names: Sequence[str], key: Callable[[str], str]) -> tuple[tuple[str, str], ...]:
    first: dict[str, str] = {}
    pairs = ((first.setdefault(key(name), name), name) for name in names)
    return tuple((one, other) for one, other in pairs if one != other)
