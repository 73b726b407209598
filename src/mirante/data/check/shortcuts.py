"""Shortcuts: properties that give away the class without showing what is in the image: its size, a mark in a corner.

What the content itself can change is left out where it can be told: a digit that touches the border is a digit. So a border counts
where it is of one grey, a corner where it stands apart from the middle, the light and the size of the file where the image has no
plain ground that the content covers more or less of. The rules were chosen by false alarms and recall over many data sets made by
script (benchmarks/shortcuts.py).

A network finds them before it finds the content, and its test figures then promise what it cannot do elsewhere (Geirhos et al.,
"Shortcut learning in deep neural networks", Nature Machine Intelligence 2020; DeGrave et al., "AI for radiographic COVID-19
detection selects shortcuts over signal", ibid. 2021).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.data.check.look import PLAIN, Looks, name_pattern

_BINS = 12
_FOLDS = 5
_MOST = 20_000  # images looked at
_TOLD = 10  # images of a class that must say something about a property
_NAMES = 12  # patterns of file names that are kept apart

# name → the numbers of an image that make it up, and the area from which it deserves a warning: more where the content can change it
_PROPERTIES: dict[str, tuple[tuple[str, ...], float]] = {
    "image size": (("height", "width"), 0.8),
    "aspect": (("aspect",), 0.8),
    "JPEG quality": (("quality",), 0.8),
    "colour or grey": (("channels",), 0.8),
    "border": (("border",), 0.85),
    "corners": (tuple(f"corner_{number}" for number in range(1, 9)), 0.8),
    "colour cast": (("cast_red", "cast_blue"), 0.85),
    "bytes per pixel": (("bytes_per_pixel",), 0.9),
    "brightness": (("brightness",), 0.9),
    "contrast": (("contrast", "span", "dark", "bright"), 0.9),
    "sharpness": (("sharpness",), 0.9),
    "saturation": (("saturation",), 0.9),
    "file format": ((), 0.8),
    "file name": ((), 0.8),
}
_OF_PHOTOS = frozenset({"bytes per pixel", "brightness", "contrast", "sharpness", "saturation"})
"""These can differ by what photos show. Of a plain image, they say how much of the ground the content covers, and so nothing."""


@dataclass(frozen=True)
class Shortcut:
    """How well one property alone predicts the class.

    name      name of the property, in English
    limit     the area from which it deserves a warning
    accuracy  cross-validated balanced accuracy
    chance    the 95% interval of the accuracy with shuffled classes
    best      the class that it predicts best, and the area under its ROC curve (one against the rest)
    area
    """

    name: str
    limit: float
    accuracy: float
    chance: tuple[float, float]
    best: str
    area: float

    @property
    def may_be_content(self) -> bool:
        """Whether the content of photos, and not only how they were taken or stored, can make this difference."""
        return self.name in _OF_PHOTOS

    @property
    def strong(self) -> bool:
        """Whether it deserves a warning: beyond chance, and by so much that a network would exploit it."""
        return self.accuracy > self.chance[1] and self.area >= self.limit


def find_shortcuts(
    looks: Looks,
    paths: Sequence[str],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
    shuffles: int = 200,
) -> list[Shortcut]:
    """Return every property that could be measured, the most predictive first.

    groups    groups of images that belong together (such as a patient): folds and shuffles keep them together
    shuffles  how often the classes are shuffled to estimate chance

    A property is cut into bins by its quantiles; the classes of other images in the same bin predict the class. Of several
    numbers, the most predictive counts, both for the true classes and for the shuffled ones.
    """
    random = np.random.default_rng(0)
    units = np.unique(np.array(paths if groups is None else groups), return_inverse=True)[1]
    readable = np.array([row not in looks.errors for row in range(len(labels))], bool)
    rows = np.flatnonzero(readable)
    if len(rows) > _MOST:
        rows = np.sort(random.choice(rows, _MOST, replace=False))
    units = np.unique(units[rows], return_inverse=True)[1]
    mine = labels[rows]
    if len(np.unique(mine)) < 2 or units.max(initial=0) + 1 < 2 * _FOLDS:
        return []
    folds = random.permutation(units.max() + 1)[units] % _FOLDS
    # classes are swapped between whole units, so that what a unit shares cannot predict them by chance
    shuffled = [mine, *(_shuffle(mine, units, random) for _ in range(shuffles))]
    found = []
    for name, columns in _properties(looks, rows, [paths[row] for row in rows.tolist()], mine, classes):
        scores = np.array([_tell(column, shuffled, folds, len(classes)) for column in columns])
        best = int(scores[:, 0].argmax())
        accuracies = scores.max(axis=0)
        low, high = np.quantile(accuracies[1:], [0.025, 0.975])
        number, area = _best_class(columns[best], mine, folds, len(classes))
        found.append(
            Shortcut(name, _PROPERTIES[name][1], float(accuracies[0]), (float(low), float(high)), classes[number], area)
        )
    return sorted(found, key=lambda one: -one.area)


def _properties(
    looks: Looks, rows: NDArray[np.int64], paths: list[str], labels: NDArray[np.int64], classes: Sequence[str]
) -> Iterator[tuple[str, list[NDArray[np.int64]]]]:
    """Yield (name, its numbers as bins) of each property that differs among the images."""
    values = {"aspect": looks["width"][rows] / np.maximum(looks["height"][rows], 1)}
    words = {
        "file format": [looks.formats[row] for row in rows],
        "file name": [name_pattern(path, classes) for path in paths],
    }
    plain = looks["plain"][rows] > PLAIN
    compressed = np.array(
        [looks.formats[row] in ("JPEG", "MPO") for row in rows]
    )  # of others, the pixels alone make the size
    for name, (parts, _) in _PROPERTIES.items():
        if name in words:
            common = {word: number for number, (word, _) in enumerate(Counter(words[name]).most_common(_NAMES))}
            columns = [np.array([common.get(word, len(common)) for word in words[name]])]
        else:
            columns = []
            for part in parts:
                column = np.array(values[part] if part in values else looks[part][rows], np.float64)
                if (
                    name == "border" and plain.mean() > 0.5
                ):  # where the content reaches it, as it may in drawings, it says nothing
                    column[np.isnan(column)] = np.inf
                if name in _OF_PHOTOS:
                    column[plain | (~compressed if name == "bytes per pixel" else False)] = np.inf
                columns.append(_bins(column))
        if columns := [column for column in columns if column.max() > 0 and _is_told(column, labels)]:
            yield name, columns


def _is_told(bins: NDArray[np.int64], labels: NDArray[np.int64]) -> bool:
    """Tell whether enough images of at least two classes say something."""
    counts = np.bincount(labels[bins >= 0], minlength=2)
    return bool((counts >= min(_TOLD, np.bincount(labels).max())).sum() >= 2 and counts.sum() >= len(bins) / 4)


def _bins(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Cut at quantiles; unknown values (NaN) get their own bin, and so does a value that many images share.

    Values that say nothing (infinite) are -1: such images are neither asked nor counted.
    """
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.full(len(values), -1, np.int64)
    distinct = np.unique(known)
    edges = distinct if len(distinct) <= _BINS else np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)))
    numbers = np.searchsorted(edges, values, side="right")
    numbers[np.isnan(values)] = len(edges) + 1
    told = ~np.isinf(values)
    binned = np.full(len(values), -1, np.int64)
    binned[told] = np.unique(numbers[told], return_inverse=True)[1]
    return binned


def _shuffle(labels: NDArray[np.int64], units: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    order = random.permutation(units.max() + 1)
    # images in the order of the units they belong to, before and after the units have changed places
    before, after = np.argsort(units, kind="stable"), np.argsort(order[units], kind="stable")
    shuffled = np.empty_like(labels)
    shuffled[before] = labels[after]
    return shuffled


def _shares(
    bins: NDArray[np.int64], labels: NDArray[np.int64], folds: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Return, for each image, how strongly other folds' images in its bin support each class, (N, classes)."""
    size = (bins.max() + 1) * classes
    cells = bins * classes + labels
    every = np.bincount(cells, minlength=size)
    weights = 1 / np.maximum(np.bincount(labels, minlength=classes), 1)
    shares = np.empty((len(bins), classes))
    for fold in range(_FOLDS):
        mine = folds == fold
        others = every - np.bincount(cells[mine], minlength=size)
        shares[mine] = ((others.reshape(-1, classes) + 0.1) * weights)[bins[mine]]
    scaled: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return scaled


def _tell(
    bins: NDArray[np.int64], labelings: list[NDArray[np.int64]], folds: NDArray[np.int64], classes: int
) -> list[float]:
    """Return the balanced accuracy that the bins reach for each labeling."""
    found, told = [], bins >= 0
    bins, folds = bins[told], folds[told]
    for labels in (one[told] for one in labelings):
        right = _shares(bins, labels, folds, classes).argmax(axis=1) == labels
        counts = np.bincount(labels, minlength=classes)
        hits = np.bincount(labels, right, minlength=classes)
        found.append(float((hits[counts > 0] / counts[counts > 0]).mean()))
    return found


def _best_class(
    bins: NDArray[np.int64], labels: NDArray[np.int64], folds: NDArray[np.int64], classes: int
) -> tuple[int, float]:
    told = bins >= 0
    bins, labels, folds = bins[told], labels[told], folds[told]
    shares = _shares(bins, labels, folds, classes)
    areas = [np.nan_to_num(auroc(shares[:, number], labels == number), nan=0.5) for number in range(classes)]
    best = int(np.argmax(areas))
    return best, float(areas[best])
