"""Targets from the labels of images: 1 where an image has a label, 0 where not, -1 where it is not known."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import look_alikes, natural
from mirante.data.entries import Skipped
from mirante.data.labels import Labelled, label_by_folder
from mirante.data.scan import Scanned
from mirante.data.several import join, parse, require_writable, united
from mirante.data.targets import LabelOptions, Targets
from mirante.errors import DataError


def label_by_folders(location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
    """Label each image by its class folder; the same picture in several folders of one split has the labels of all of them."""
    rows, skipped = label_by_folder(location, scanned)
    for row in rows:
        require_writable(location, row.label)
    first: dict[tuple[str, str | None], int] = {}
    kept: list[Labelled] = []
    for row in rows:
        place = first.setdefault((row.image.digest, row.split), len(kept))
        if place == len(kept):
            kept.append(row)
        else:
            kept[place] = kept[place]._replace(label=united(kept[place].label, row.label))
    return kept, skipped


def make_targets(location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
    """Return the targets of labelled images. Raises DataError for an unknown label, none at all, or labels that look alike."""
    told = [parse(unicodedata.normalize("NFC", row.label)) for row in rows]
    present = Counter(name for yes, _ in told for name in yes)
    merged = look_alikes(present)
    if merged and not options.lenient:
        one, other = merged[0]
        raise DataError(
            f"{location}: the labels {one!r} and {other!r} differ only by case or spaces; merge them, or give them names that "
            "people can tell apart. Nothing was merged."
        )
    same = {other: one for one, other in merged}
    names = _names(location, set(present) - same.keys(), options)
    number = {name: index for index, name in enumerate(names)}
    values = np.zeros((len(rows), len(names)), np.int64)
    if options.model is not None:  # nobody looked for what these labels never name
        named = {same.get(name, name) for yes, not_known in told for name in (*yes, *not_known)}
        values[:, [number[name] for name in names if name not in named]] = -1
    for row, (yes, not_known) in enumerate(told):
        for listed, value in ((not_known, -1), (yes, 1)):  # of two spellings, the one that is known counts
            for name in listed:
                at = number.get(same.get(name, name))
                if at is not None:
                    values[row, at] = value
    alike = np.unique(values, axis=0, return_inverse=True)[1].ravel()
    return Targets(rows, names, values, alike, (names, values), merged=merged)


def _names(location: str, present: set[str], options: LabelOptions) -> tuple[str, ...]:
    names = tuple(sorted(present, key=natural))
    if options.classes is not None:
        wanted = tuple(dict.fromkeys(unicodedata.normalize("NFC", name) for name in options.classes))
        if unknown := [name for name in wanted if name not in present]:
            raise DataError(
                f"{location}: no image has the label {unknown[0]!r} (--classes); the labels are {', '.join(names)}."
            )
        names = wanted
    if options.model is not None:
        if unknown := [name for name in names if name not in options.model]:
            raise DataError(
                f"{location}: label {unknown[0]!r} is not one of the model's, which are {', '.join(options.model)}; rename it, or "
                "choose labels with --classes."
            )
        return tuple(options.model)
    if not names:
        raise DataError(
            f"{location}: no image has a label. Labels are in a column of a table, separated by |, in columns of yes and no, or the "
            "names of folders."
        )
    for name in names:
        require_writable(location, name)
    return names


def label_texts(targets: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Return targets (N, labels) as texts such as `cat|dog|?bird`."""
    return [
        join(
            [name for name, value in zip(classes, row, strict=True) if value > 0],
            [name for name, value in zip(classes, row, strict=True) if value < 0],
        )
        for row in targets.tolist()
    ]


def encode_texts(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return texts as targets (N, labels); the reverse of `label_texts`. Raises KeyError for a label that is none of the classes."""
    number = {name: index for index, name in enumerate(classes)}
    values = np.zeros((len(labels), len(classes)), np.int64)
    for row, text in enumerate(labels):
        yes, not_known = parse(text)
        values[row, [number[name] for name in not_known]] = -1
        values[row, [number[name] for name in yes]] = 1
    return values
