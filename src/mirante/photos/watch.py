"""New photos of a folder, classified as they arrive, and sorted into folders if wanted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from mirante.data.entries import printable
from mirante.errors import RequestError
from mirante.locale import Language
from mirante.photos import arrange as arranging
from mirante.photos.arrange import Decided
from mirante.photos.deciding import MIN_CONFIDENCE, decide_photos
from mirante.photos.journal import How
from mirante.photos.lock import both_locked
from mirante.photos.organise import put_in_place
from mirante.photos.walk import Photo, walk
from mirante.prediction.model import Model

_LEAST_PAUSE = 0.1


def watch(
    run: str | Path,
    folder: Path,
    into: Path | None,
    *,
    how: How,
    layout: str,
    min_confidence: float | None,
    interval: float,
    say: Language,
) -> Iterator[tuple[str, Decided | None, str]]:
    """Return an endless stream of (path, what is decided, "") for each photo that arrives from now on, or (path, None, why not).

    A photo has arrived when its size and time have not changed from one look to the next: before that it is being copied. Photos
    that are there at the start are passed over. Raises RequestError when the folder goes away.
    """
    layout = arranging.require_layout(layout)
    model = Model(run)
    model.require_one_class("photos in folders")
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder to watch.")
    least = MIN_CONFIDENCE if min_confidence is None else min_confidence
    return _arrivals(model, folder, into, how, layout, least, interval, say, _stamps(folder))


def _arrivals(
    model: Model,
    folder: Path,
    into: Path | None,
    how: How,
    layout: str,
    min_confidence: float,
    interval: float,
    say: Language,
    known: dict[Photo, tuple[int, int]],
) -> Iterator[tuple[str, Decided | None, str]]:
    waiting: dict[Photo, tuple[int, int]] = {}
    names = arranging.folder_names(model.classes)
    while True:
        time.sleep(max(_LEAST_PAUSE, interval))
        now = _stamps(folder)
        fresh = {photo: stamp for photo, stamp in now.items() if known.get(photo) != stamp}
        arrived = [photo for photo, stamp in fresh.items() if waiting.get(photo) == stamp]
        waiting = fresh
        outside = arrived if into is None else arranging.outside(arrived, folder, into)
        known |= {photo: now[photo] for photo in arrived}
        if not outside:
            continue
        decided, unread = decide_photos(model, folder, outside, {}, min_confidence)
        reasons = {one.path: one.reason for one in unread}
        if into is not None:
            target = into.expanduser().absolute()
            before = arranging.Before.of(folder, target)
            with both_locked(target, folder, how == "move"):
                found = arranging.arrange(folder.absolute(), outside, decided, target, layout, how, False, say, names)
                if found.steps:
                    came = put_in_place(folder, target, how, found, before)
                    reasons |= {one.path: one.reason for one in came.left}
        for photo in outside:
            path = printable(photo.path)
            yield path, decided.get(photo.path), reasons.get(path, "")


def _stamps(folder: Path) -> dict[Photo, tuple[int, int]]:
    found = {}
    try:
        photos = walk(folder).photos
    except OSError as error:
        raise RequestError(f"{folder}: the folder can no longer be opened ({error.strerror}).") from error
    for photo in photos:
        try:
            status = (folder / photo.path).stat()
        except OSError:
            continue
        found[photo] = (status.st_size, status.st_mtime_ns)
    return found
