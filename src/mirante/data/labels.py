"""Labels, from folder names or from a table."""

from __future__ import annotations

from itertools import compress
from typing import NamedTuple

from mirante.data.annotations import without_upload_code
from mirante.data.entries import Skipped
from mirante.data.scan import Scanned
from mirante.data.splits import split_of
from mirante.data.tables import Row, Table, spellings
from mirante.errors import DataError, NothingLabelled

NOT_IN_CLASS = "not in a class folder"
"""Why an image was left out that lies above the class folders."""


class Labelled(NamedTuple):
    """A readable image with its label, and its split, group and subgroup if the source gives them."""

    image: Scanned
    label: str
    split: str | None
    group: str | None
    subgroup: str | None = None


def label_by_folder(
    location: str, scanned: list[Scanned], nested: bool = False
) -> tuple[list[Labelled], list[Skipped]]:
    """Label each image by its class folder, under split folders if there are any; arrays carry their own labels.

    Folders that all images share (`photos/…` in an archive) are ignored. Folders inside a class folder belong to that class;
    `nested`, they are classes of their own, under paths such as animal/bird/owl.
    """
    rows, skipped = [], []
    places = [image.path.rpartition("/")[0] for image in scanned]
    unlabelled = (
        one.label is None and not one.path.endswith("/") for one in scanned
    )  # a slash ends a folder without images
    parts = [place.split("/") if place else [] for place in set(compress(places, unlabelled))]
    shared = _shared_depth(parts)
    has_splits = _has_splits(location, [names[shared:] for names in parts])
    said: dict[str, tuple[str, str | None] | None] = {}  # by each folder: the label and the split
    for place in set(places):
        names = place.split("/")[shared:] if place else []
        inside = names[int(has_splits) :]
        split = split_of(names[0]) if has_splits and names else None
        said[place] = ("/".join(inside) if nested else inside[0], split) if inside else None
    for image, place in zip(scanned, places, strict=True):
        found = said[place] if image.label is None else (image.label, image.split)
        if found is None:
            skipped.append(Skipped(image.path, image.error or NOT_IN_CLASS))
        elif image.error is not None:
            skipped.append(Skipped(image.path, image.error, found[0]))
        else:
            rows.append(Labelled(image, *found, image.person))
    if not rows:
        reason = f"{skipped[0].path}: {skipped[0].reason}" if skipped else "it is empty"
        raise NothingLabelled(
            f"{location}: no image in a class folder can be read ({reason}). Each class is a folder of images."
        )
    return rows, skipped


def label_by_table(location: str, scanned: list[Scanned], table: Table) -> tuple[list[Labelled], list[Skipped]]:
    """Label each image by its row of the table; images without a row are left out.

    A row that gives a file name without a folder is for the image of that name, wherever it lies, if there is only one.

    Raises DataError for a row without its image, and for two rows of one image, under whichever spelling, that disagree.
    """
    images = _by_spelling(scanned)
    parts = [image.path.split("/")[:-1] for image in scanned]
    prefix = "".join(f"{name}/" for name in (parts[0][: _shared_depth(parts, keep=0)] if parts else ()))
    bare = _by_bare_name(scanned, table.name.lower().endswith(".json"))
    rows, skipped, missing = [], [], []
    row_of: dict[str, Row] = {}
    for row in table.rows:
        image = images.get(row.path) or images.get(prefix + row.path)
        if image is None and "/" not in row.path:
            image = bare.get(row.path)
        if image is not None and (other := row_of.setdefault(image.path, row)) is not row:
            table.require_agreement(other, row)
            continue
        if image is None:
            missing.append(row)
        elif image.error is not None:
            skipped.append(Skipped(image.path, image.error, row.label))
        else:
            rows.append(Labelled(image, row.label, row.split, row.group or image.person, row.subgroup))
    if missing:
        table.refuse_missing(missing)
    if not rows:
        raise DataError(f"{location}: none of the images that {table.name} names can be read.")
    order = {image.path: index for index, image in enumerate(scanned)}
    return sorted(rows, key=lambda row: order[row.image.path]), skipped


def _by_spelling(scanned: list[Scanned]) -> dict[str, Scanned]:
    """Return path → image: as it is spelt, as other systems compose its letters, and without its ending where that is no other."""
    found: dict[str, Scanned] = {}
    twice: set[str] = set()
    for image in scanned:
        for path in spellings(image.path):
            stem = path.rpartition(".")[0]
            if found.setdefault(stem, image) is not image:
                twice.add(stem)
    for stem in twice:
        del found[stem]
    return found | {path: image for image in scanned for path in spellings(image.path)}


def _by_bare_name(scanned: list[Scanned], uploaded: bool) -> dict[str, Scanned]:
    """Return file name → image, of names that only one image has; of uploads also without Label Studio's code before it."""
    found: dict[str, Scanned | None] = {}
    for image in scanned:
        name = image.path.rpartition("/")[2]
        for one in {name, without_upload_code(name)} if uploaded else {name}:
            found[one] = None if one in found else image
    return {name: image for name, image in found.items() if image is not None}


def _shared_depth(folders: list[list[str]], keep: int = 1) -> int:
    """Count the leading folders that all paths share, leaving each at least `keep`; a file that lies above them does not count."""
    depth = 0
    while True:
        deeper = [names for names in folders if len(names) > depth + keep]
        if not deeper or len({names[depth] for names in folders if len(names) > depth}) > 1:
            return depth
        depth += 1


def _has_splits(location: str, folders: list[list[str]]) -> bool:
    tops = {names[0] for names in folders if names}
    splits = {top for top in tops if split_of(top)}
    with_classes = {names[0] for names in folders if len(names) > 1}
    if "train" not in {split_of(top) for top in splits & with_classes}:
        if len(tops) > 1 and tops == splits:
            raise DataError(
                f"{location}: {' and '.join(sorted(tops))} are names of splits, and there is no train with class folders in it. Put "
                "the classes into train (and into the others), or give the labels as a table with --labels."
            )
        below = {names[1] for names in folders if len(names) > 1}
        if below and all(split_of(name) for name in below) and "train" in {split_of(name) for name in below}:
            raise DataError(
                f"{location}: the splits ({', '.join(sorted(below))}) lie below the classes; put them above: train/cat, test/cat."
            )
        return False
    if others := sorted(tops - splits):
        raise DataError(
            f"{location}: beside {', '.join(sorted(splits))} there is {others[0]!r}, which is not a split; move it out, or "
            "into one of them as a class."
        )
    return True
