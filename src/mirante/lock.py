"""One process at a time: a lock that the system lets go of when its owner dies, however it dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirante.errors import RequestError


@contextmanager
def held(folder: Path, busy: str) -> Iterator[None]:
    """Hold a folder; raises RequestError with `busy` when another process holds it.

    The folder itself is locked where the system can do that; on Windows, a file in it.
    """
    try:
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT) if os.name == "nt" else os.open(folder, os.O_RDONLY)
    except OSError:  # it is not there, or cannot be opened: what follows says so
        yield
        return
    try:
        if not take(handle):
            raise RequestError(busy)
        yield
    finally:
        os.close(handle)  # which lets go


def take(handle: int) -> bool:
    """Take the lock of an open file; return False when another process has it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # some network drives have no locks: two processes are then not kept apart, as before there were any
        return os.name != "nt" or error.errno != 13
    return True
