"""Images that a person opened or gathered, with what they changed about them; the files themselves stay as they are.

A collection is a name and a location as `mirante train` takes it. Labels that were changed and images that were left out are kept
beside it, and become a table of labels when a training starts. Only images that are added here are written, into the folder of
their class.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from mirante.data.archives import ARCHIVE_SUFFIXES
from mirante.data.cache import decoded
from mirante.data.entries import Skipped, Source
from mirante.data.folders import FolderSource
from mirante.data.labels import label_by_folder
from mirante.data.scan import Scanned, scan
from mirante.data.sources import open_source
from mirante.errors import DataError, ImageError, RequestError
from mirante.files import csv_text, next_free, write_bytes, write_json, write_text
from mirante.images import FORMATS, read_bytes, read_header, read_image
from mirante.studio.workspace import Workspace, name_from, require_name

THUMBNAIL = 96  # pixels a side
MAX_ARCHIVE = 4 << 30
MAX_IMAGES = 50_000  # that are gathered in one collection
_LEADS_OUT = "a link that leads out of the folder"
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Collection:
    """A name, where its images are, and what was changed: path → class, or None for left out.

    made     whether its images were gathered here, so that more can be added
    classes  of a made collection, also those that are still empty
    """

    name: str
    location: str
    made: bool
    classes: tuple[str, ...] = ()
    edits: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One image of a collection: its path in the source, its class now and before, and what is known of it."""

    path: str
    label: str
    original: str
    split: str | None
    left_out: bool
    height: int
    width: int
    channels: int
    digest: str


@dataclass(frozen=True)
class Listing:
    """What a collection holds.

    counts      class → images that are in
    duplicates  groups of paths with the same bytes, at most 200
    conflicts   how many of those groups have different labels
    """

    items: tuple[Item, ...]
    skipped: tuple[Skipped, ...]
    counts: dict[str, int]
    duplicates: tuple[tuple[str, ...], ...]
    conflicts: int


def list_collections(workspace: Workspace) -> list[Collection]:
    """Return all collections by name; a file of the memory that is damaged is left out."""
    found = []
    for path in sorted(workspace.memory("collections").glob("*.json")):
        try:
            found.append(read_collection(workspace, path.stem))
        except RequestError:
            continue
    return found


def read_collection(workspace: Workspace, name: str) -> Collection:
    """Return a collection; raises DataError when there is none of that name."""
    path = _file(workspace, name)
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Collection(name, value["location"], value["made"], tuple(value["classes"]), dict(value["edits"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no such collection; open a folder or make one.") from error


def open_collection(workspace: Workspace, location: str) -> Collection:
    """Remember a folder, archive or named set of images under its own name, and return it.

    Raises DataError when there is nothing of the kind.
    """
    location = location.strip()
    if not location:
        raise DataError("Which folder? Write its path, or the name of a set of images, as digits.")
    path = Path(location).expanduser()
    source, _ = open_source(str(path) if path.exists() else location)
    name = name_from(source.name, "images")
    with _LOCK:
        taken = {one.name: one for one in list_collections(workspace)}
        number, wanted = 1, name
        kept = str(path.resolve()) if path.exists() else location
        while name in taken and taken[name].location != kept:
            number += 1
            name = f"{wanted} {number}"
        return taken[name] if name in taken else _write(workspace, Collection(name, kept, False))


def make_collection(workspace: Workspace, name: str, classes: Iterable[str] = ()) -> Collection:
    """Make an empty collection whose images will lie in images/NAME. Raises RequestError when the name is taken."""
    name = require_name(name)
    with _LOCK:
        folder = workspace.images / name
        if _file(workspace, name).exists() or (folder.exists() and any(folder.iterdir())):
            raise RequestError(f"{name!r} is there already; choose another name.")
        folder.mkdir(parents=True, exist_ok=True)
        made = Collection(name, str(folder), True)
        _write(workspace, made)
        for one in classes:
            made = add_class(workspace, name, one)
        return made


def forget_collection(workspace: Workspace, name: str) -> None:
    """Forget a collection and what was changed about it; no image is touched."""
    _file(workspace, name).unlink(missing_ok=True)


def add_class(workspace: Workspace, name: str, label: str) -> Collection:
    """Add an empty class to a made collection."""
    label = require_name(label)
    with _LOCK:
        one = read_collection(workspace, name)
        _require_made(one)
        if label not in one.classes:
            one = _write(workspace, replace(one, classes=(*one.classes, label)))
        (Path(one.location) / label).mkdir(exist_ok=True)
        return one


def add_image(workspace: Workspace, name: str, label: str, filename: str, content: bytes) -> str:
    """Put an image into a class and return its path; the same bytes are kept once a class.

    Its file gets a name of Mirante's: what can be read of `filename`, and the content's digest.

    Raises ImageError when it is no image, RequestError when there are too many.
    """
    read_header(content)
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        ending = {"JPEG": "jpg", "TIFF": "tif"}.get(image.format or "", (image.format or "img").lower())
    one = add_class(workspace, name, label)
    digest = hashlib.sha256(content).hexdigest()[:12]
    stem = re.sub(r"[^\w-]+", "-", Path(filename.replace("\\", "/")).stem)[:40].strip("-_")
    folder = Path(one.location) / require_name(label)
    with _LOCK:
        if any(folder.glob(f"*{digest}.*")):
            return f"{label}/{next(folder.glob(f'*{digest}.*')).name}"
        if sum(len(os.listdir(Path(one.location) / kind)) for kind in one.classes) >= MAX_IMAGES:  # noqa: PTH208 (ten times as fast)
            raise RequestError(f"{name}: more than {MAX_IMAGES:,} images; open them as a folder instead.")
        path = folder / f"{stem + '-' if stem else ''}{digest}.{ending}"
        write_bytes(path, content)
    return f"{label}/{path.name}"


def edit(workspace: Workspace, name: str, paths: Iterable[str], label: str | None) -> None:
    """Give images another class, or leave them out (None); an empty label takes every change back."""
    with _LOCK:
        one = read_collection(workspace, name)
        known = {item.path: item.original for item in listing(one).items}
        edits = dict(one.edits)
        for path in paths:
            if path not in known:
                raise DataError(f"{path}: not in {name}.")
            edits.pop(path, None)
            if label is None:
                edits[path] = None
            elif label and label != known[path]:
                edits[path] = require_name(label)
        _write(workspace, replace(one, edits=edits))


def listing(collection: Collection) -> Listing:
    """Return what a collection holds now. Raises DataError when its source has gone or has no class folders."""
    source = _source(collection)
    scanned = _scanned(collection.location, source.stamp())
    rows: list[tuple[Scanned, str, str | None]] = []
    skipped: list[Skipped] = []
    if scanned and any(one.error is None for one in scanned):
        found, skipped = label_by_folder(collection.location, scanned)
        rows = [(row.image, row.label, row.split) for row in found]
    items = []
    for image, label, split in rows:
        changed = collection.edits.get(image.path, label)
        items.append(
            Item(
                image.path,
                changed or label,
                label,
                split,
                changed is None,
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
            counts[item.label] += 1
            copies[item.digest].append(item)
    groups = [group for group in copies.values() if len(group) > 1]
    return Listing(
        tuple(items),
        tuple(skipped),
        dict(sorted(counts.items())),
        tuple(tuple(item.path for item in group) for group in groups[:200]),
        sum(len({item.label for item in group}) > 1 for group in groups),
    )


def training_words(workspace: Workspace, collection: Collection) -> list[str]:
    """Return the arguments with which `mirante train` sees the collection as the person left it."""
    found = listing(collection)
    if not collection.edits and not any(one.reason == _LEADS_OUT for one in found.skipped):
        return [collection.location]
    splits = any(item.split for item in found.items)
    kept = [item for item in found.items if not item.left_out]
    rows = [(item.path, item.label, *([item.split or ""] if splits else [])) for item in kept]
    table = csv_text(["path", "label", *(["split"] if splits else [])], rows)
    digest = hashlib.sha256(table.encode()).hexdigest()[:12]
    # a table of its own for each state: a training that goes on later finds the labels that it began with
    path = workspace.memory("labels") / f"{collection.name}-{digest}.csv"
    write_text(path, table)
    return [collection.location, "--labels", str(path), "--root", collection.location]


def thumbnail(collection: Collection, path: str) -> bytes:
    """Return a small JPEG of one image. Raises DataError when it is not in the collection, ImageError when unreadable."""
    source = _source(collection)
    if isinstance(source, FolderSource):
        place = source.root / path
        if "\0" in path or not place.resolve().is_relative_to(source.root.resolve()) or not place.is_file():
            raise DataError(f"{path}: not in {collection.name}.")
        pixels = read_image(read_bytes(place), (THUMBNAIL, THUMBNAIL))
    else:
        wanted = {one.path: one.digest for one in _scanned(collection.location, source.stamp()) if one.error is None}
        if path not in wanted:
            raise DataError(f"{path}: not in {collection.name}.")
        rows = {name: row for row, name in enumerate(wanted)}
        found, failed = decoded(source, wanted, (THUMBNAIL, THUMBNAIL), 3, "crop")
        if path in failed:
            raise ImageError(failed[path])
        pixels = found[rows[path]]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def keep_archive(workspace: Workspace, filename: str, part: Path) -> Collection:
    """Open an archive that was uploaded to `part`; it is read in place, never unpacked. Raises DataError."""
    name = Path(filename.replace("\\", "/")).name
    suffix = next((one for one in ARCHIVE_SUFFIXES if name.lower().endswith(one)), None)
    if suffix is None:
        raise DataError(f"{name}: no archive; drop a .zip or .tar, a folder, or images.")
    stem = re.sub(r"[^\w-]+", "-", name[: -len(suffix)])[:40].strip("-") or "images"
    folder = workspace.memory("uploads")
    with _LOCK:
        place = next_free(folder / f"{stem}{suffix}", suffix)
        part.replace(place)
    return open_collection(workspace, str(place))


@lru_cache(maxsize=4)
def _scanned(location: str, stamp: str) -> list[Scanned]:
    """Return the scan of a source, from memory while its stamp stays the same. A link that leads out of it counts as unreadable."""
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


def _require_made(collection: Collection) -> None:
    if not collection.made:
        raise RequestError(
            f"{collection.name} was opened from {collection.location}; nothing is added there. Make a new collection."
        )


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("collections") / f"{require_name(name)}.json"


def _write(workspace: Workspace, one: Collection) -> Collection:
    value = {"location": one.location, "made": one.made, "classes": list(one.classes), "edits": one.edits}
    write_json(_file(workspace, one.name), value)
    return one
