"""Labels, from folder names or from a table."""

from __future__ import annotations

from dataclasses import dataclass

from mirante.data.entries import Skipped
from mirante.data.scan import Scanned
from mirante.data.splits import split_of
from mirante.data.tables import Row, Table
from mirante.errors import DataError


@dataclass(frozen=True)
class Labelled:
    """A readable image with its label, and its split, group and subgroup if the source gives them."""

    image: Scanned
    label: str
    split: str | None
    group: str | None
    subgroup: str | None = None


def label_by_folder(location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
    """Label each image by its class folder, under split folders if there are any; arrays carry their own labels.

    Folders that all images share (`photos/…` in an archive) are ignored. Folders inside a class folder belong to that class.
    """
    rows, skipped = [], []
    parts = {image.path: image.path.split("/")[:-1] for image in scanned if image.label is None}
    shared = _shared_depth(list(parts.values()))
    folders = {path: names[shared:] for path, names in parts.items()}
    has_splits = _has_splits(location, list(folders.values()))
    for image in scanned:
        label, split = image.label, image.split
        if label is None:
            names = folders[image.path]
            if len(names) < 1 + has_splits:
                skipped.append(Skipped(image.path, image.error or "not in a class folder"))
                continue
            label, split = names[int(has_splits)], split_of(names[0]) if has_splits else None
        if image.error is not None:
            skipped.append(Skipped(image.path, image.error))
        else:
            rows.append(Labelled(image, label, split, image.person))
    if not rows:
        reason = f"{skipped[0].path}: {skipped[0].reason}" if skipped else "it is empty"
        raise DataError(
            f"{location}: no image in a class folder can be read ({reason}). Each class is a folder of images."
        )
    return rows, skipped


def label_by_table(location: str, scanned: list[Scanned], table: Table) -> tuple[list[Labelled], list[Skipped]]:
    """Label each image by its row of the table; images without a row are left out.

    Raises DataError for a row without its image, and for two rows of one image, under whichever spelling, that disagree.
    """
    images = {image.path: image for image in scanned}
    parts = [path.split("/")[:-1] for path in images]
    prefix = "".join(f"{name}/" for name in (parts[0][: _shared_depth(parts, keep=0)] if parts else ()))
    rows, skipped, missing = [], [], []
    row_of: dict[str, Row] = {}
    for row in table.rows:
        image = images.get(row.path) or images.get(prefix + row.path)
        if image is not None and (other := row_of.setdefault(image.path, row)) is not row:
            table.require_agreement(other, row)
            continue
        if image is None:
            missing.append(row)
        elif image.error is not None:
            skipped.append(Skipped(image.path, image.error))
        else:
            rows.append(Labelled(image, row.label, row.split, row.group or image.person, row.subgroup))
    if missing:
        table.refuse_missing(missing)
    if not rows:
        raise DataError(f"{location}: none of the images that {table.name} names can be read.")
    order = {path: index for index, path in enumerate(images)}
    return sorted(rows, key=lambda row: order[row.image.path]), skipped


def _shared_depth(folders: list[list[str]], keep: int = 1) -> int:
    """Count the leading folders that all paths share, leaving each at least `keep`."""
    depth = 0
    while folders and all(len(names) > depth + keep for names in folders):
        if len({names[depth] for names in folders}) > 1:
            break
        depth += 1
    return depth


def _has_splits(location: str, folders: list[list[str]]) -> bool:
    tops = {names[0] for names in folders if names}
    splits = {top for top in tops if split_of(top)}
    with_classes = {names[0] for names in folders if len(names) > 1}
    if "train" not in {split_of(top) for top in splits & with_classes}:
        return False
    if others := sorted(tops - splits):
        raise DataError(
            f"{location}: beside {', '.join(sorted(splits))} there is {others[0]!r}, which is not a split; move it out, or "
            "into one of them as a class."
        )
    return True
