"""What the data check finds, image by image, the most harmful kind first, and what a cleaned list would leave out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mirante.data.check.copies import Copies, join
from mirante.data.check.look import Looks, right_suffix
from mirante.data.check.shortcuts import Shortcut
from mirante.data.classes import alike_names
from mirante.data.dataset import Dataset
from mirante.data.notes import Note, unequal_classes

Harm = Literal["grave", "serious", "minor"]

_RARE = 0.05  # a property of more images than this is normal for the set, not odd


@dataclass(frozen=True)
class Kind:
    """A kind of finding: how harmful it is, its heading, and what it means and calls for."""

    harm: Harm
    title: str
    meaning: str


KINDS: dict[str, Kind] = {
    "leak": Kind(
        "grave",
        "The same picture on both sides of the test",
        "A picture that a model was trained on does not test it: the test figures are too optimistic. The cleaned list keeps the "
        "test image.",
    ),
    "group": Kind(
        "grave",
        "A group on both sides of the test",
        "Images of one patient, person or place are alike; the model recognises them instead of the class. The cleaned list keeps "
        "the test images.",
    ),
    "contradiction": Kind(
        "grave",
        "The same picture in two classes",
        "At least one of the two labels is wrong, and the model is trained on both. The cleaned list leaves all of them out.",
    ),
    "shortcut": Kind(
        "grave",
        "A property that gives the class away",
        "A network learns what is easiest. Here something other than the content gives the class away; where that something is "
        "missing, the model fails. Bring images of all classes from the same source.",
    ),
    "looks": Kind(
        "serious",
        "A look that gives the class away",
        "It may be what the classes are, or how their images were taken: another camera, another light, another program. If the "
        "latter, the model fails elsewhere. Compare images of the classes that were taken in the same way.",
    ),
    "doubtful": Kind(
        "serious",
        "Probably in the wrong class",
        "A model that was not trained on this image confidently gives it another class. The surest come first; look at them and "
        "decide. The cleaned list keeps them, and doubtful.csv names them.",
    ),
    "unreadable": Kind("serious", "Cannot be used", "They are left out of every training."),
    "unequal": Kind("serious", "Classes of very unequal size", "The accuracy hides how the small classes fare; look at each class."),
    "names": Kind(
        "serious",
        "Class names that look alike",
        "They may be one class. Rename the folders or the labels if they are.",
    ),
    "copy": Kind(
        "minor",
        "The same picture more than once",
        "Copies count more than other images and make classes look larger than they are. The cleaned list keeps one.",
    ),
    "outlier": Kind(
        "minor", "Unlike all others", "They may belong to none of the classes, or the class may need more like them."
    ),
    "blank": Kind("minor", "Blank", "There is nothing to see in them. The cleaned list leaves them out."),
    "dark": Kind("minor", "Very dark", "Check that what matters can be seen."),
    "bright": Kind("minor", "Overexposed", "Check that what matters can be seen."),
    "blurred": Kind("minor", "Blurred", "Far less sharp than the others."),
    "grey": Kind("minor", "Grey among colour images", "The others have colour; these do not."),
    "colour": Kind("minor", "Colour among grey images", "The others are grey; these have colour."),
    "size": Kind("minor", "Odd size", "Much smaller or larger than the others."),
    "aspect": Kind("minor", "Odd shape", "Much wider or taller than the others; cropping removes much of them."),
    "rotated": Kind(
        "minor", "Turned by EXIF", "The file stores them rotated and says so. Mirante shows them upright; other programs may not."
    ),
    "suffix": Kind("minor", "Wrong file extension", "The file's format is not what its name says. Mirante reads it anyway."),
}  # fmt: skip
"""Every kind, the most harmful first."""


@dataclass(frozen=True)
class Finding:
    """One thing found.

    kind   a key of KINDS
    rows   the images concerned, as rows of the data set; for copies, the one to keep first
    note   what there is to say about it
    path   the file, if it is not an image of the data set (an unreadable one)
    """

    kind: str
    rows: tuple[int, ...]
    note: Note
    path: str = ""


def find_in_files(dataset: Dataset, looks: Looks) -> Iterator[Finding]:
    """Yield findings from the file and pixels of each image by itself."""
    for one in dataset.skipped:
        yield Finding("unreadable", (), Note("{reason}", {"reason": one.reason}), one.path)
    for row, reason in looks.errors.items():
        yield Finding("unreadable", (row,), Note("{reason}", {"reason": reason}))
    sound = np.ones(len(dataset), bool)
    sound[list(looks.errors)] = False
    yield from _odd_light(looks, sound)
    yield from _odd_shape(looks, sound)
    for row in np.flatnonzero(sound).tolist():
        form = looks.formats[row]
        if form and not right_suffix(dataset.paths[row], form):
            yield Finding("suffix", (row,), Note("a {format} file", {"format": form}))
        if looks["orientation"][row] > 1:
            text = "EXIF orientation {orientation}"
            yield Finding("rotated", (row,), Note(text, {"orientation": int(looks["orientation"][row])}))


def find_among_classes(dataset: Dataset) -> Iterator[Finding]:
    """Yield findings from the classes, their sizes and the groups."""
    for one, other in (*dataset.merged, *alike_names(dataset.classes)):
        yield Finding("names", (), Note("{one} and {other}", {"one": one, "other": other}))
    if dataset.targets.ndim == 1 and (values := unequal_classes(dataset.classes, dataset.targets)):
        yield Finding("unequal", (), Note("{count} images of {most}, {few} of {least}", values))
    if dataset.groups is not None:
        members: dict[str, list[int]] = defaultdict(list)
        for row, group in enumerate(dataset.groups):
            members[group].append(row)
        for group, rows in members.items():
            if _on_both_sides(dataset, rows):
                yield Finding("group", tuple(_test_first(dataset, rows)), Note("group {group}", {"group": group}))


def find_copies_of(dataset: Dataset, copies: Copies) -> Iterator[Finding]:
    """Yield each set of images that show the same picture: leaks, contradictions, plain copies."""
    names = dataset.names
    exact: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(dataset.digests):
        exact[digest].append(row)
    same = [(rows[0], other) for rows in exact.values() for other in rows[1:]]
    pairs = np.array([*same, *map(tuple, copies.pairs.tolist())], np.int64).reshape(-1, 2)
    for rows in join(len(dataset), pairs):
        if len({dataset.digests[row] for row in rows}) == 1:
            note = Note("byte for byte the same", {})
        else:
            chosen = np.isin(copies.pairs, rows).all(axis=1)
            text = "the same picture, mirrored" if copies.mirrored[chosen].any() else "the same picture in another file"
            note = Note(text, {})
        kind = "copy"
        if _on_both_sides(dataset, rows):
            kind = "leak"
        if len({names[row] for row in rows}) > 1:
            kind = "contradiction"
        yield Finding(kind, tuple(_test_first(dataset, rows)), note)


def find_shortcuts_in(shortcuts: list[Shortcut]) -> Iterator[Finding]:
    """Yield the properties that give a class away."""
    for one in shortcuts:
        if one.strong:
            yield Finding("looks" if one.may_be_content else "shortcut", (), shortcut_note(one))


def shortcut_note(one: Shortcut) -> Note:
    """Say how well a property alone predicts a class."""
    values = {
        "property": one.name,
        "class": one.best,
        "area": round(one.area, 2),
        "accuracy": round(one.accuracy, 2),
        "chance": round(one.chance[1], 2),
    }
    if one.may_be_content:
        text = "The {property} alone can tell {class} from the other classes (area under the ROC curve {area}; 0.5 is chance, 1 is always). That may be what the classes are, or how their images were taken: find out before you trust the figures."  # noqa: E501
    else:
        text = "The {property} alone can tell {class} from the other classes: area under the ROC curve {area}, where 0.5 is chance and 1 is always. It reaches a balanced accuracy of {accuracy}; with shuffled classes, at most {chance}."  # noqa: E501
    return Note(text, values)


def leave_out(dataset: Dataset, findings: list[Finding]) -> dict[int, str]:
    """Return row → the kind of finding for which a cleaned list omits the image."""
    gone: dict[int, str] = {}
    for one in findings:
        rows: list[int] = []
        if one.kind in ("unreadable", "blank", "contradiction"):
            rows = list(one.rows)
        elif one.kind in ("copy", "leak"):
            rows = list(one.rows[1:])
        elif one.kind == "group":
            rows = [row for row in one.rows if dataset.splits[row] != "test"]
        for row in rows:
            gone.setdefault(row, one.kind)
    return gone


def _on_both_sides(dataset: Dataset, rows: list[int]) -> bool:
    return len(set((dataset.splits[rows] == "test").tolist())) > 1


def _test_first(dataset: Dataset, rows: list[int]) -> list[int]:
    return sorted(rows, key=lambda row: ("test", "val", "train").index(str(dataset.splits[row])))


def _odd_light(looks: Looks, sound: NDArray[np.bool_]) -> Iterator[Finding]:
    contrast, brightness = looks["contrast"], looks["brightness"]
    blank = sound & (contrast < 3)
    seen = sound & ~blank
    yield from _rare("blank", blank, sound, "contrast {value}", contrast)
    yield from _rare(
        "dark", seen & (brightness < 30) & (looks["bright"] < 0.01), sound, "mean brightness {value} of 255", brightness
    )
    yield from _rare(
        "bright",
        seen & (brightness > 225) & (looks["bright"] > 0.6),
        sound,
        "mean brightness {value} of 255",
        brightness,
    )
    sharpness = looks["sharpness"]
    if seen.any():
        logs = np.log(np.maximum(sharpness, 1e-4))
        middle, spread = _middle(logs[seen])
        yield from _rare(
            "blurred", seen & (logs < middle - max(3.5 * spread, 0.9)), sound, "sharpness {value}", sharpness
        )
        saturation = looks["saturation"]
        usual = float(np.median(saturation[seen]))
        if usual >= 8:
            yield from _rare("grey", seen & (saturation < 1.5), sound, "saturation {value} of 255", saturation)
        elif usual < 1.5:
            yield from _rare("colour", seen & (saturation >= 8), sound, "saturation {value} of 255", saturation)


def _odd_shape(looks: Looks, sound: NDArray[np.bool_]) -> Iterator[Finding]:
    if not sound.any():
        return
    height, width = np.maximum(looks["height"], 1), np.maximum(looks["width"], 1)
    side, aspect = np.log(np.minimum(height, width)), np.log(width / height)
    text = "{width} × {height} pixels"
    for kind, values, limit in (("size", side, np.log(4)), ("aspect", aspect, np.log(2.2))):
        middle, spread = _middle(values[sound])
        odd = sound & (abs(values - middle) > max(limit, 4 * spread))
        if odd.sum() <= max(1, _RARE * sound.sum()):
            order = np.flatnonzero(odd)[np.argsort(-abs(values - middle)[odd], kind="stable")]
            for row in order.tolist():
                yield Finding(kind, (row,), Note(text, {"width": int(width[row]), "height": int(height[row])}))


def _rare(
    kind: str, odd: NDArray[np.bool_], sound: NDArray[np.bool_], text: str, values: NDArray[np.float32]
) -> Iterator[Finding]:
    if odd.sum() <= max(1, _RARE * sound.sum()):
        for row in np.flatnonzero(odd).tolist():
            yield Finding(kind, (row,), Note(text, {"value": round(float(values[row]), 2)}))


def _middle(values: NDArray[np.floating]) -> tuple[float, float]:
    """Return the median, and a spread that a few odd values do not move (1.4826 times the median distance from it)."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(abs(values - middle)))
