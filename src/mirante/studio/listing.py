"""What a collection holds now: its images with the labels that a person gave them, and what a training sees."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from mirante.data.entries import Skipped, Source
from mirante.data.folders import FolderSource
from mirante.data.keywords import UNLABELLED, label_by_keywords
from mirante.data.labels import NOT_IN_CLASS, Labelled, label_by_folder
from mirante.data.scan import Scanned, scan
from mirante.data.several import SEPARATOR, cell, parse
from mirante.data.sources import open_source
from mirante.errors import DataError, NothingLabelled
from mirante.files import csv_text, write_text
from mirante.studio.collections import Collection
from mirante.studio.workspace import Workspace
from mirante.task import task_named

_NOT_LABELLED = (UNLABELLED, NOT_IN_CLASS)
_LEADS_OUT = "a link that leads out of the folder"


@dataclass(frozen=True)
class Item:
    """One image of a collection: its path in the source, its class now and before, and what is known about it.

    Where an image may have several labels, each is a text such as cat|dog, and None before anybody said which.
    """

    path: str
    label: str | None
    original: str | None
    split: str | None
    left_out: bool
    height: int
    width: int
    channels: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """What a collection holds.

    counts      class → number of images in it, or that have this label
    duplicates  groups of paths with the same bytes, at most 200
    conflicts   how many of those groups have different labels
    """

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
    counts: dict[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    conflicts: int

    @property
    def unlabelled(self) -> int:
        """How many images nobody has labelled yet."""
        return sum(item.label is None and not item.left_out for item in self.items)


def listing(collection: Collection) -> Listing:
    """Return what a collection holds now. Raises DataError when its source has gone or has no class folders."""
    stamp = source_of(collection).stamp()
    images = scanned(collection.location, stamp)
    rows: list[tuple[Scanned, str | None, str | None]] = []
    skipped: list[Skipped] = []
    if any(one.error is None for one in images):
        if collection.several:
            rows, skipped = _several(collection.location, stamp)
        else:
            rows, skipped = _by_folder(collection.location, stamp)
    items = []
    for image, label, split in rows:
        changed = collection.edits.get(image.path, label)
        left_out = image.path in collection.edits and changed is None
        items.append(
            Item(
                image.path,
                label if left_out else changed,
                label,
                split,
                left_out,
                image.height,
                image.width,
                image.channels,
                image.digest,
            )
        )
    counts = Counter(dict.fromkeys(collection.labels if collection.several else collection.classes, 0))
    copies: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if not item.left_out:
            counts.update([str(item.label)] if not collection.several else parse(item.label or "")[0])
            copies[item.digest].append(item)
    groups = [group for group in copies.values() if len(group) > 1]
    return Listing(
        tuple(items),
        tuple(skipped),
        dict(counts) if collection.several and collection.labels else dict(sorted(counts.items())),
        tuple(tuple(item.path for item in group) for group in groups[:200]),
        sum(len({frozenset((item.label or "").split(SEPARATOR)) for item in group}) > 1 for group in groups),
    )


def is_shown(item: Item, label: str, several: bool) -> bool:
    """Tell whether an image is among those of a label: "" all, a tab those left out, "\\n" not labelled yet, " " with no label."""
    if label == "":
        return True
    if label == "\t" or item.left_out:
        return label == "\t" and item.left_out
    if not several:
        return label == item.label
    if item.label is None:
        return label == "\n"
    return label in parse(item.label)[0] or (label == " " and not item.label)


def training_words(workspace: Workspace, collection: Collection) -> list[str]:
    """Return the arguments with which `mirante train` sees the collection as the person left it."""
    found = listing(collection)
    if not collection.several and not collection.edits and not any(one.reason == _LEADS_OUT for one in found.skipped):
        return [collection.location]
    splits = any(item.split for item in found.items)
    kept = [item for item in found.items if not item.left_out and item.label is not None]
    if not kept:
        raise DataError(f"{collection.name}: no image has been labelled yet.")
    rows = [
        (
            item.path,
            cell(item.label or "") if collection.several else item.label,
            *([item.split or ""] if splits else []),
        )
        for item in kept
    ]
    table = csv_text(["path", "label", *(["split"] if splits else [])], rows)
    digest = hashlib.sha256(table.encode()).hexdigest()[:12]
    # a separate table for each state: a training that is resumed later finds the labels that it began with
    path = workspace.memory("labels") / f"{collection.name}-{digest}.csv"
    write_text(path, table)
    words = [collection.location, "--labels", str(path), "--root", collection.location]
    return [*words, "--task", "tag"] if collection.several else words


@lru_cache(maxsize=4)
def _by_folder(location: str, stamp: str) -> tuple[list[tuple[Scanned, str | None, str | None]], list[Skipped]]:
    """Return the images with the classes that their folders give them, and what was passed over."""
    found, skipped = label_by_folder(location, scanned(location, stamp))
    return [(row.image, row.label, row.split) for row in found], skipped


@lru_cache(maxsize=4)
def _several(location: str, stamp: str) -> tuple[list[tuple[Scanned, str | None, str | None]], list[Skipped]]:
    """Return the images with their labels, None where nobody has said any, and what was passed over.

    Labels are the keywords of photos where one in ten has any, else the class folders. Raises DataError for a label that is none.
    """
    source, images = open_source(location)[0], scanned(location, stamp)
    rows: list[Labelled] = []
    skipped: list[Skipped] = []
    with suppress(NothingLabelled):
        rows, skipped = label_by_keywords(location, source, images, several=True)
    if len(rows) < len(images) / 10:
        rows, skipped = [], []
        with suppress(NothingLabelled):
            rows, skipped = task_named("tag").label_images(location, images)
    told = {row.image.path for row in rows} | {one.path for one in skipped if one.reason not in _NOT_LABELLED}
    merged = {row.image.digest for row in rows}
    others = [one for one in images if one.error is None and one.path not in told and one.digest not in merged]
    left = [one for one in skipped if one.reason not in _NOT_LABELLED]
    broken = [Skipped(one.path, one.error) for one in images if one.error is not None]
    found = [(row.image, row.label, row.split) for row in rows] + [(image, None, None) for image in others]
    order = {image.path: number for number, image in enumerate(images)}
    left = list({one.path: one for one in [*left, *broken]}.values())
    return sorted(found, key=lambda row: order[row[0].path]), left


@lru_cache(maxsize=4)
def scanned(location: str, stamp: str) -> list[Scanned]:
    """Return the scan of a source, cached while its stamp stays the same. A link that leads out of it counts as unreadable."""
    source = open_source(location)[0]
    found = scan(source)
    if isinstance(source, FolderSource):
        root = source.root.resolve()
        for number, one in enumerate(found):
            place = source.root / one.path
            if place.is_symlink() and not place.resolve().is_relative_to(root):
                found[number] = one._replace(error=_LEADS_OUT)
    return found


def source_of(collection: Collection) -> Source:
    """Return where the images of a collection are read from. Raises DataError when it has gone."""
    return open_source(collection.location)[0]
