"""What a collection holds now: its images with the labels that a person gave them, their thumbnails, and what a training sees."""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image

from mirante.data.cache import decoded
from mirante.data.entries import Skipped, Source
from mirante.data.folders import FolderSource
from mirante.data.keywords import UNLABELLED, label_by_keywords
from mirante.data.labels import NOT_IN_CLASS, Labelled, label_by_folder
from mirante.data.scan import Scanned, scan
from mirante.data.several import SEPARATOR, cell, join, parse, require_writable
from mirante.data.sources import open_source
from mirante.errors import DataError, ImageError, NothingLabelled, RequestError
from mirante.files import csv_text, write_text
from mirante.images import read_bytes, read_image
from mirante.rendering import Rendering, Window
from mirante.studio.collections import LOCK, Collection, read_collection, write_collection
from mirante.studio.workspace import Workspace, require_name, require_text
from mirante.task import task_named

_LOOK = Rendering(Window(per_image=True))  # a first look, before there is a model and its window
THUMBNAIL = 96  # pixels per side
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
    source = _source(collection)
    scanned = _scanned(collection.location, source.stamp())
    rows: list[tuple[Scanned, str | None, str | None]] = []
    skipped: list[Skipped] = []
    if scanned and any(one.error is None for one in scanned):
        if collection.several:
            rows, skipped = _several(collection.location, source.stamp())
        else:
            found, skipped = label_by_folder(collection.location, scanned)
            rows = [(row.image, row.label, row.split) for row in found]
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
    counts = Counter(dict.fromkeys(collection.classes, 0))
    copies: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if not item.left_out:
            counts.update([str(item.label)] if not collection.several else parse(item.label or "")[0])
            copies[item.digest].append(item)
    groups = [group for group in copies.values() if len(group) > 1]
    return Listing(
        tuple(items),
        tuple(skipped),
        dict(counts) if collection.several and collection.classes else dict(sorted(counts.items())),
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


def edit(workspace: Workspace, name: str, paths: Iterable[str], label: str | None) -> None:
    """Give images another class, or leave them out (None); an empty label brings back what was left out, or undoes the change."""
    with LOCK:
        one = read_collection(workspace, name)
        if one.several and label:
            raise RequestError(f"{name}: its images may have several labels; give or take one.")
        known = {item.path: item.original for item in listing(one).items}
        edits, aside = dict(one.edits), dict(one.aside)
        for path in paths:
            if path not in known:
                raise DataError(f"{path}: not in {name}.")
            before = edits.pop(path, None)
            if label is None:
                edits[path] = None
                if before is not None:
                    aside[path] = before
            elif not label and path in aside:  # an image that was left out comes back as it was
                edits[path] = aside.pop(path)
            elif label and label != known[path]:
                edits[path] = require_name(label)
            if label:
                aside.pop(path, None)
        write_collection(workspace, replace(one, edits=edits, aside=aside))


def give_label(workspace: Workspace, name: str, paths: Iterable[str], label: str, has: bool) -> None:
    """Say that images have a label, or do not; "" with has=False says that they have none at all. Raises RequestError, DataError."""
    label = label.strip()
    with LOCK:
        one = read_collection(workspace, name)
        if not one.several:
            raise RequestError(f"{name}: its images have one class each.")
        if label:
            require_writable(name, label)
            require_text(label)
        found = listing(one)
        known = {item.path: item for item in found.items}
        edits, classes = dict(one.edits), one.classes
        if label and label not in found.counts:
            classes = (*found.counts, label)  # the order of the keys stays
        for path in paths:
            if path not in known:
                raise DataError(f"{path}: not in {name}.")
            yes, not_known = parse(known[path].label or "") if label else ([], [])
            others = [other for other in yes if other != label]
            edits[path] = join([*others, label] if has else others, [other for other in not_known if other != label])
            before = known[path].original
            if edits[path] == before or (
                label and not edits[path] and before is None
            ):  # as if nobody had said anything
                del edits[path]
        write_collection(workspace, replace(one, edits=edits, classes=classes))


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


def thumbnail(collection: Collection, path: str) -> bytes:
    """Return a small JPEG of one image. Raises DataError when it is not in the collection, ImageError when unreadable."""
    source = _source(collection)
    if isinstance(source, FolderSource):
        place = source.root / path
        if "\0" in path or not place.resolve().is_relative_to(source.root.resolve()) or not place.is_file():
            raise DataError(f"{path}: not in {collection.name}.")
        pixels = read_image(read_bytes(place), (THUMBNAIL, THUMBNAIL), rendering=_LOOK)
    else:
        wanted = {one.path: one.digest for one in _scanned(collection.location, source.stamp()) if one.error is None}
        if path not in wanted:
            raise DataError(f"{path}: not in {collection.name}.")
        rows = {name: row for row, name in enumerate(wanted)}
        found, failed = decoded(source, wanted, (THUMBNAIL, THUMBNAIL), 3, "crop", _LOOK)
        if path in failed:
            raise ImageError(failed[path])
        pixels = found[rows[path]]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@lru_cache(maxsize=4)
def _several(location: str, stamp: str) -> tuple[list[tuple[Scanned, str | None, str | None]], list[Skipped]]:
    """Return the images with their labels, None where nobody has said any, and what was passed over.

    Labels are the keywords of photos where one in ten has any, else the class folders. Raises DataError for a label that is none.
    """
    source, scanned = open_source(location)[0], _scanned(location, stamp)
    rows: list[Labelled] = []
    skipped: list[Skipped] = []
    with suppress(NothingLabelled):
        rows, skipped = label_by_keywords(location, source, scanned, several=True)
    if len(rows) < len(scanned) / 10:
        rows, skipped = [], []
        with suppress(NothingLabelled):
            rows, skipped = task_named("tag").label_images(location, scanned)
    told = {row.image.path for row in rows} | {one.path for one in skipped if one.reason not in _NOT_LABELLED}
    merged = {row.image.digest for row in rows}
    others = [one for one in scanned if one.error is None and one.path not in told and one.digest not in merged]
    left = [one for one in skipped if one.reason not in _NOT_LABELLED]
    broken = [Skipped(one.path, one.error) for one in scanned if one.error is not None]
    found = [(row.image, row.label, row.split) for row in rows] + [(image, None, None) for image in others]
    order = {image.path: number for number, image in enumerate(scanned)}
    left = list({one.path: one for one in [*left, *broken]}.values())
    return sorted(found, key=lambda row: order[row[0].path]), left


@lru_cache(maxsize=4)
def _scanned(location: str, stamp: str) -> list[Scanned]:
    """Return the scan of a source, cached while its stamp stays the same. A link that leads out of it counts as unreadable."""
    source = open_source(location)[0]
    found = scan(source)
    if isinstance(source, FolderSource):
        root = source.root.resolve()
        for number, one in enumerate(found):
            place = source.root / one.path
            if place.is_symlink() and not place.resolve().is_relative_to(root):
                found[number] = replace(one, error=_LEADS_OUT)
    return found


def _source(collection: Collection) -> Source:
    return open_source(collection.location)[0]
