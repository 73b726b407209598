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
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mirante.data.archives import ARCHIVE_SUFFIXES
from mirante.data.films import SUFFIXES as FILMS
from mirante.data.films import Sampling
from mirante.data.sources import images_of, open_source
from mirante.errors import DataError, ImageError, RequestError
from mirante.files import next_free, one_file, write_bytes, write_json
from mirante.formats import ending_of, open_image
from mirante.images import read_header
from mirante.studio.workspace import Workspace, name_from, require_name

MAX_ARCHIVE = 4 << 30
MAX_IMAGES = 50_000  # gathered in one collection
LOCK = threading.RLock()


@dataclass(frozen=True)
class Collection:
    """A name, where its images are, and what was changed: path → class, or None for left out.

    made     whether its images were gathered here, so that more can be added
    classes  of a made collection, also those that are still empty
    several  whether an image may have several labels, or none; each change is then a text such as cat|dog
    labels   that were given here where an image may have several, in the order of their keys
    aside    of images that were left out, path → the change that was made before
    other    edits and aside as they were under the other way, one class or several labels
    """

    name: str
    location: str
    made: bool
    classes: tuple[str, ...] = ()
    edits: dict[str, str | None] = field(default_factory=dict)
    several: bool = False
    aside: dict[str, str] = field(default_factory=dict)
    other: tuple[dict[str, str | None], dict[str, str]] = ({}, {})
    labels: tuple[str, ...] = ()


def list_collections(workspace: Workspace) -> list[Collection]:
    """Return all collections by name; damaged files in the memory are left out."""
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
        edits, other = dict(value["edits"]), value.get("other", ({}, {}))
        several, aside = bool(value.get("several", False)), dict(value.get("aside", {}))
        classes, labels = tuple(value["classes"]), tuple(value.get("labels", ()))
        kept = dict(other[0]), dict(other[1])
        return Collection(name, value["location"], value["made"], classes, edits, several, aside, kept, labels)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no such collection; open a folder or make one.") from error


def open_collection(workspace: Workspace, location: str) -> Collection:
    """Remember a folder, archive or named set of images under its own name, and return it.

    Raises DataError when there is nothing of the kind.
    """
    location = location.strip()
    if not location:
        raise DataError("Which folder? Write its path, or the name of a set of images, such as digits.")
    path = Path(location).expanduser()
    source, _ = open_source(str(path) if path.exists() else location)
    name = name_from(source.name, "images")
    with LOCK:
        taken = {one.name: one for one in list_collections(workspace)}
        number, wanted = 1, name
        kept = str(path.resolve()) if path.exists() else location
        while name in taken and taken[name].location != kept:
            number += 1
            name = f"{wanted} {number}"
        return taken[name] if name in taken else write_collection(workspace, Collection(name, kept, False))


def make_collection(workspace: Workspace, name: str, classes: Iterable[str] = ()) -> Collection:
    """Make an empty collection whose images will lie in images/NAME. Raises RequestError when the name is taken."""
    name, classes = require_name(name), [require_name(one) for one in classes]
    for number, one_class in enumerate(classes):
        _require_apart(one_class, classes[:number])
    with LOCK:
        folder = workspace.images / name
        if _file(workspace, name).exists() or (folder.exists() and any(folder.iterdir())):
            raise RequestError(f"{name!r} already exists; choose another name.")
        folder.mkdir(parents=True, exist_ok=True)
        made = Collection(name, str(folder), True)
        write_collection(workspace, made)
        for one in classes:
            made = add_class(workspace, name, one)
        return made


def allow_several(workspace: Workspace, name: str, several: bool) -> Collection:
    """Let the images of a collection have several labels, or one class again; the changes made under each are kept."""
    with LOCK:
        one = read_collection(workspace, name)
        if one.several == several:
            return one
        edits, aside = one.other
        changed = replace(one, several=several, edits=edits, aside=aside, other=(one.edits, one.aside))
        return write_collection(workspace, changed)


def forget_collection(workspace: Workspace, name: str) -> None:
    """Forget a collection and what was changed about it; no image is touched."""
    _file(workspace, name).unlink(missing_ok=True)


def add_class(workspace: Workspace, name: str, label: str) -> Collection:
    """Add an empty class to a made collection."""
    label = require_name(label)
    with LOCK:
        one = read_collection(workspace, name)
        _require_made(one)
        if label not in one.classes:
            _require_apart(label, one.classes)
            one = write_collection(workspace, replace(one, classes=(*one.classes, label)))
        (Path(one.location) / label).mkdir(exist_ok=True)
        return one


def _require_apart(label: str, others: Iterable[str]) -> None:
    """Raise RequestError for a class that would share a folder with another where upper and lower case are the same."""
    for other in others:
        if other != label and one_file(other) == one_file(label):
            raise RequestError(
                f"{other!r} and {label!r} differ only in upper and lower case; their folders would be one on some systems."
            )


def add_image(workspace: Workspace, name: str, label: str, filename: str, content: bytes) -> tuple[str, bool]:
    """Put an image into a class; return its path, and whether it is new: the same bytes are kept once per class.

    Mirante names its file: what is usable of `filename`, and the content's digest.

    Raises ImageError when it is not an image, RequestError when there are too many.
    """
    read_header(content)
    with open_image(content) as image:
        ending = ending_of(image)
    one = add_class(workspace, name, label)
    digest = hashlib.sha256(content).hexdigest()[:12]
    stem = re.sub(r"[^\w-]+", "-", Path(filename.replace("\\", "/")).stem)[:40].strip("-_")
    folder = Path(one.location) / require_name(label)
    with LOCK:
        if any(folder.glob(f"*{digest}.*")):
            return f"{label}/{next(folder.glob(f'*{digest}.*')).name}", False
        if sum(len(os.listdir(Path(one.location) / kind)) for kind in one.classes) >= MAX_IMAGES:  # noqa: PTH208 (ten times as fast)
            raise RequestError(f"{name}: more than {MAX_IMAGES:,} images; open them as a folder instead.")
        path = folder / f"{stem + '-' if stem else ''}{digest}.{ending}"
        write_bytes(path, content)
    return f"{label}/{path.name}", True


def add_images_of(
    workspace: Workspace, name: str, label: str, filename: str, part: Path
) -> tuple[list[tuple[str, bool]], list[str]]:
    """Put the images of an archive, or frames of a film, that was uploaded to `part` into a class.

    Whatever folders an archive has inside, all its images get this class; of a film, one frame a second, those that are nearly the
    same left out. Return what `add_image` says of each, and a sentence for each that could not be. Raises DataError, RequestError.
    """
    file = Path(filename.replace("\\", "/")).name
    suffix = next((one for one in (*ARCHIVE_SUFFIXES, *FILMS) if file.lower().endswith(one)), None)
    if suffix is None:
        raise DataError(f"{file}: not an archive and not a film.")
    place = part.with_name(part.name + suffix)
    added: list[tuple[str, bool]] = []
    refused: list[str] = []
    part.replace(place)
    try:
        for entry in images_of([str(place)], Sampling(alike=False)):
            inside = entry.path.removeprefix(str(place)).lstrip(":#")
            try:
                content = entry.content() if entry.error is None else None
                if content is None:
                    raise ImageError(str(entry.error))
                if not isinstance(content, bytes):
                    buffer = io.BytesIO()
                    Image.fromarray(np.asarray(content)).save(buffer, "PNG")
                    content = buffer.getvalue()
                own = (
                    Path(inside).name
                    if suffix in ARCHIVE_SUFFIXES
                    else f"{file[: -len(suffix)]} {inside}".replace(".", "_")
                )
                added.append(add_image(workspace, name, label, own, content))
            except ImageError as error:
                refused.append(f"{file}: {inside + ': ' if inside else ''}{error}; it was not added.")
    except ImageError as error:
        raise DataError(f"{file}: {error}.") from error
    except DataError as error:
        raise DataError(str(error).replace(str(place), file)) from error
    finally:
        place.unlink(missing_ok=True)
    if not added and not refused:
        raise DataError(f"{file}: there is no image in it.")
    return added, refused


def keep_archive(workspace: Workspace, filename: str, part: Path) -> Collection:
    """Open an archive that was uploaded to `part`; it is read in place, never unpacked. Raises DataError."""
    name = Path(filename.replace("\\", "/")).name
    suffix = next((one for one in ARCHIVE_SUFFIXES if name.lower().endswith(one)), None)
    if suffix is None:
        raise DataError(f"{name}: not an archive; drop a .zip or .tar, a folder, or images.")
    stem = re.sub(r"[^\w-]+", "-", name[: -len(suffix)])[:40].strip("-") or "images"
    folder = workspace.memory("uploads")
    with LOCK:
        place = next_free(folder / f"{stem}{suffix}", suffix)
        part.replace(place)
    return open_collection(workspace, str(place))


def _require_made(collection: Collection) -> None:
    if not collection.made:
        raise RequestError(
            f"{collection.name} was opened from {collection.location}; images cannot be added there. Make a new collection."
        )


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("collections") / f"{require_name(name)}.json"


def write_collection(workspace: Workspace, one: Collection) -> Collection:
    """Write what is remembered about a collection, and return it."""
    value = {
        "location": one.location,
        "made": one.made,
        "classes": list(one.classes),
        "edits": one.edits,
        "several": one.several,
        "aside": one.aside,
        "other": one.other,
        "labels": list(one.labels),
    }
    write_json(_file(workspace, one.name), value)
    return one
