"""One program at a time moves photos into or out of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mirante.errors import RequestError
from mirante.lock import take
from mirante.photos.walk import MEMORY


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; raises RequestError when somebody else holds it, or nothing can be written there."""
    place = folder / MEMORY / "lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RequestError(
            f"{folder}: nothing can be written there ({error.strerror}); choose another folder."
        ) from error
    try:
        if not take(handle):
            raise RequestError(f"{folder}: another command is moving photos there; wait until it has finished.")
        yield
    finally:
        os.close(handle)  # which lets go


@contextmanager
def both_locked(into: Path, source: Path, moving: bool) -> Iterator[None]:
    """Hold the folder that photos go to, and while they are moved also the one that they leave."""
    with ExitStack() as held:
        held.enter_context(locked(into))
        if moving and source.is_dir() and source.resolve() != into.resolve():
            held.enter_context(locked(source))
        yield
