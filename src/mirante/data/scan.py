"""One look at every image of a source: the digest of its content, its size and channels, or why it cannot be read.

Cached under the source's stamp, so that an unchanged source is not read again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial

import numpy as np

from mirante import dicom
from mirante.data.entries import Entry, Source, digest_of
from mirante.data.processes import on_every_core
from mirante.errors import ImageError, MiranteError, UnavailableError
from mirante.files import write_text
from mirante.images import Header, read_header
from mirante.places import cache_folder
from mirante.progress import track
from mirante.rendering import Depth

_FORMAT = 4


@dataclass(frozen=True)
class Scanned:
    """What is known about one image before it is decoded; sizes in pixels; when it is unreadable, `error` says why.

    passing  whether the error is the system's, so that another time it may be read
    depth   what numbers it holds
    pages   pages or frames, of which one counts
    person  a keyed hash of whom it shows, if the file says so (DICOM); of a frame, its film
    """

    path: str
    digest: str
    height: int
    width: int
    channels: int
    label: str | None
    split: str | None
    error: str | None
    person: str | None = None
    passing: bool = False
    depth: Depth = "bytes"
    pages: int = 1


def scan(source: Source, page: int = 0) -> list[Scanned]:
    """Return what is known about every image of the source, in its order; `page` as in Rendering."""
    key = hashlib.sha256(f"{_FORMAT} {page} {source.stamp()}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    kept = cache_folder() / "scans" / f"{key}.json"
    if kept.exists():
        try:
            return [Scanned(*row) for row in json.loads(kept.read_text(encoding="utf-8"))]
        except (ValueError, TypeError, OSError):
            kept.unlink(missing_ok=True)
    entries = track(source.entries(), f"Reading {source.name}")
    # an archive may hold a file twice: the last one counts, as it does when the archive is unpacked
    found = list(
        {row.path: row for rows in on_every_core(partial(_look_at_all, page), entries) for row in rows}.values()
    )
    if any(row.passing for row in found):
        return found
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps([list(vars(row).values()) for row in found]))
    except (MiranteError, OSError, UnicodeEncodeError):
        pass  # a cache that cannot be written, or a name that is not text: it will be read again
    return found


def _look_at_all(page: int, chunk: list[Entry]) -> list[Scanned]:
    return [_look(entry, page) for entry in chunk]


def _look(entry: Entry, page: int) -> Scanned:
    def unreadable(reason: str, passing: bool = False) -> Scanned:
        return Scanned(entry.path, "", 0, 0, 0, entry.label, entry.split, reason, passing=passing)

    if entry.error is not None:
        return unreadable(entry.error)
    try:
        stored = entry.content()
        header = Header(*stored.shape) if isinstance(stored, np.ndarray) else read_header(stored, page)
    except ImageError as error:
        return unreadable(str(error), isinstance(error, UnavailableError))
    person = dicom.person(stored) if isinstance(stored, bytes) and dicom.is_dicom(stored) else entry.group
    size = header.height, header.width, header.channels
    kind = header.depth, header.pages
    return Scanned(entry.path, digest_of(stored), *size, entry.label, entry.split, None, person, False, *kind)
