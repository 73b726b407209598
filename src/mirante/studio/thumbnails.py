"""Small versions of the images of a collection, each made once and kept in the studio's memory until the collection is forgotten."""

from __future__ import annotations

import hashlib
import io
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from mirante.data.cache import decoded
from mirante.data.entries import Source
from mirante.data.file_states import state_of
from mirante.data.folders import FolderSource
from mirante.errors import DataError, ImageError, WorkError
from mirante.files import write_bytes
from mirante.images import Pixels, read_bytes, read_image
from mirante.rendering import Rendering, Window
from mirante.studio.collections import Collection
from mirante.studio.listing import scanned, source_of
from mirante.studio.workspace import Workspace, require_name

_LOOK = Rendering(Window(per_image=True))  # a first look, before there is a model and its window
SIDE = 128  # pixels of a thumbnail, a square from the middle
LARGE = 900  # pixels of the longer side of an image that is looked at by itself


def thumbnail(workspace: Workspace, collection: Collection, path: str) -> bytes:
    """Return a small JPEG of one image. Raises DataError when it is not in the collection, ImageError when unreadable."""
    source = source_of(collection)
    if isinstance(source, FolderSource):
        state = str(state_of(_file(source, collection, path).stat(), numbered=True))
    else:
        state = source.stamp()
    name = hashlib.sha256(
        f"{collection.location}\n{path}\n{state}\n{SIDE}".encode("utf-8", "surrogatepass")
    ).hexdigest()
    kept = workspace.memory("thumbnails", require_name(collection.name), name[:2]) / f"{name}.jpg"
    try:
        return kept.read_bytes()
    except OSError:
        pass
    content = _jpeg(_square(source, collection, path))
    with suppress(WorkError):  # a full disk: it is made again next time
        write_bytes(kept, content)
    return content


def large(collection: Collection, path: str) -> bytes:
    """Return a JPEG of one whole image, at most LARGE pixels wide and high; a tiny one is not enlarged. Raises as `thumbnail`."""
    source = source_of(collection)
    if isinstance(source, FolderSource):
        return _jpeg(read_image(read_bytes(_file(source, collection, path)), rendering=_LOOK))
    for entry in source.entries():
        if entry.path == path and entry.error is None:
            return _jpeg(read_image(entry.content(), rendering=_LOOK))
    raise DataError(f"{path}: not in {collection.name}.")


def forget(workspace: Workspace, name: str) -> None:
    """Remove the thumbnails of a collection."""
    shutil.rmtree(workspace.memory("thumbnails") / require_name(name), ignore_errors=True)


def _square(source: Source, collection: Collection, path: str) -> Pixels:
    size = (SIDE, SIDE)
    if isinstance(source, FolderSource):
        return read_image(read_bytes(_file(source, collection, path)), size, rendering=_LOOK)
    wanted = {one.path: one.digest for one in scanned(collection.location, source.stamp()) if one.error is None}
    if path not in wanted:
        raise DataError(f"{path}: not in {collection.name}.")
    rows = {name: row for row, name in enumerate(wanted)}
    found, failed = decoded(source, wanted, size, 3, "crop", _LOOK)
    if path in failed:
        raise ImageError(failed[path])
    return np.asarray(found[rows[path]])


def _file(source: FolderSource, collection: Collection, path: str) -> Path:
    place = source.root / path
    if "\0" in path or not place.resolve().is_relative_to(source.root.resolve()) or not place.is_file():
        raise DataError(f"{path}: not in {collection.name}.")
    return place


def _jpeg(pixels: Pixels) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((LARGE, LARGE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
