"""One look at every image of a source: the digest of its content, its size and channels, or why it cannot be read.

Cached under the source's stamp, so that an unchanged source is not read again; of one that has changed, only files in another state.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mirante import dicom
from mirante.data.entries import Entry, Source, digest_of
from mirante.data.file_states import has_lasting_numbers, state_of
from mirante.data.processes import on_every_core
from mirante.errors import ImageError, MiranteError, UnavailableError
from mirante.files import write_text
from mirante.images import Header, read_header
from mirante.places import cache_folder
from mirante.progress import track
from mirante.rendering import Depth

_FORMAT = 5


class Scanned(NamedTuple):
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
            return _rows(json.loads(kept.read_text(encoding="utf-8")))
        except (ValueError, TypeError, LookupError, OSError):
            kept.unlink(missing_ok=True)
    files = _Files(source, page)
    order: list[str] = []
    # an archive may hold a file twice: the last one counts, as it does when the archive is unpacked
    rows: dict[str, Scanned] = {}

    def fresh() -> Iterator[Entry]:
        for entry in source.entries():
            order.append(entry.path)
            known = files.known(entry)
            if known is None:
                yield entry
            else:
                rows[entry.path] = known

    for part in on_every_core(partial(_look_at_all, page), track(fresh(), f"Reading {source.name}")):
        rows.update((row.path, row) for row in part)
    found = [rows[path] for path in dict.fromkeys(order)]
    if any(row.passing for row in found):
        return found
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps(_columns(found)))
        files.write(found)
    except (MiranteError, OSError, UnicodeEncodeError):
        pass  # a cache that cannot be written, or a name that is not text: it will be read again
    return found


def _columns(rows: list[Scanned]) -> list[Any]:
    """Return the fields one by one: the paths, and of each other the values of all images, or the value where all have the same."""
    paths, *others = (list(column) for column in zip(*rows, strict=True)) if rows else [[]]
    return [paths, *(column[0] if len(set(column)) == 1 else column for column in others)]


def _rows(columns: list[Any]) -> list[Scanned]:
    """Return what `_columns` was made from. Raises ValueError, TypeError or LookupError where that is not possible."""
    count = len(columns[0])
    values = (column if isinstance(column, list) else repeat(column, count) for column in columns)
    return [Scanned._make(row) for row in zip(*values, strict=True)]


class _Files:
    """What is known about the files of a source from the last time that it was read, by path and state."""

    def __init__(self, source: Source, page: int) -> None:
        root = Path(source.named("")).absolute()
        name = hashlib.sha256(f"{_FORMAT} {page} {root}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._place = cache_folder() / "scans" / f"files-{name}.json"
        self._numbered = has_lasting_numbers(root)
        self._stamps: dict[str, list[Any]] = {}
        self._before: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError):
            self._before = dict(json.loads(self._place.read_text(encoding="utf-8")))

    def known(self, entry: Entry) -> Scanned | None:
        """Return what is known about an image that is a file of its own and has not changed since, or None.

        A file that says whom it shows is read again: a table may say otherwise today.
        """
        if not isinstance(entry.payload, Path) or entry.error is not None:
            return None
        try:
            status = entry.payload.stat()
        except OSError:
            return None
        stamp = [str(entry.payload.absolute()), *state_of(status, self._numbered)]
        self._stamps[entry.path] = stamp
        before = self._before.get(entry.path)
        if before is None or before[0] != stamp or entry.group is not None:
            return None
        digest, height, width, channels, depth, pages = before[1]
        return Scanned(
            entry.path, digest, height, width, channels, entry.label, entry.split, None, None, False, depth, pages
        )

    def write(self, found: list[Scanned]) -> None:
        """Keep what was found for the next time."""
        kept = {
            row.path: [self._stamps[row.path], [row.digest, row.height, row.width, row.channels, row.depth, row.pages]]
            for row in found
            if row.path in self._stamps and row.error is None and row.person is None
        }
        write_text(self._place, json.dumps(kept))


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
