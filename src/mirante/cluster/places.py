"""Files on this machine or in an object store (s3://, gs://, az://, https:// …), through fsspec."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirante.data.entries import is_companion
from mirante.errors import DataError, ImageError, RequestError, WorkError
from mirante.files import write_bytes
from mirante.images import MAX_BYTES, read_bytes

TABLE = ".parquet"
_PAUSES = (0.5, 2.0)  # seconds before a file of a store is asked for again


def place(word: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it. Raises RequestError when the package for it is missing."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if "://" not in word:
        return LocalFileSystem(), str(Path(word).expanduser().absolute())
    try:
        system, path = url_to_fs(word)
    except (ImportError, ValueError) as error:
        raise RequestError(f"{word}: {str(error).rstrip('.')}.") from error
    return system, str(path)


def is_local(system: Any) -> bool:
    """Tell whether a file system is this machine's own."""
    protocol = system.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def below(word: str, name: str) -> str:
    """Return the path or URL of what has this name in a folder."""
    return f"{word.rstrip('/')}/{name}"


def exists(word: str) -> bool:
    """Tell whether there is something at a path or URL."""
    system, path = place(word)
    return bool(system.exists(path))


def read(word: str) -> bytes:
    """Return a file's bytes. Raises ImageError when it is not there or too large, or, after three attempts, for any other reason."""
    try:
        system, path = place(word)
    except RequestError as error:
        raise ImageError(str(error)) from error
    if is_local(system):
        return read_bytes(Path(path))
    for pause in (*_PAUSES, None):
        try:
            content: bytes = system.cat_file(path)
            break
        except FileNotFoundError as error:
            raise ImageError("no such file") from error
        except Exception as error:  # every store has errors of its own
            if pause is None or isinstance(error, PermissionError):
                raise ImageError(f"cannot be fetched ({_reason(error)})") from error
            time.sleep(pause)
    if len(content) > MAX_BYTES:
        raise ImageError(f"file larger than {MAX_BYTES >> 20} MiB")
    return content


def write(word: str, content: bytes) -> None:
    """Put the content at a path or URL in one step: whoever reads finds the old file, none, or the whole new one.

    Raises WorkError when it cannot be written.
    """
    system, path = place(word)
    if is_local(system):
        write_bytes(Path(path), content)
        return
    try:
        system.pipe_file(path, content)  # stores make a file visible when it is whole
    except Exception as error:
        raise WorkError(f"{word} could not be written: {_reason(error)}.") from error


def files(word: str) -> Iterator[str]:
    """Yield the paths or URLs of all that a word names: a file, those that match a pattern, or all images or tables of a folder.

    Raises DataError when it names nothing.
    """
    system, path = place(word)
    try:
        found = 0
        for one in _files(system, path):
            found += 1
            yield one if is_local(system) else system.unstrip_protocol(one)
    except OSError as error:
        raise DataError(f"{word}: cannot be listed ({_reason(error)}).") from error
    if not found:
        raise DataError(f"{word}: no image in it and no file of that name.")


def _files(system: Any, path: str) -> Iterator[str]:
    if is_local(system) and os.path.isfile(path):  # noqa: PTH113 - a name may hold * and be no text
        yield path
    elif any(sign in path for sign in "*?["):
        yield from sorted(system.glob(path))
    elif not is_local(system) and system.protocol in (("http", "https"), "http", "https"):
        yield path  # a page is no folder
    elif system.isdir(path):
        tables = path.rstrip("/").lower().endswith(TABLE)
        for folder, folders, names in system.walk(path):
            folders.sort()
            for name in sorted(names):
                inside = f"{folder[len(path) :]}/{name}".lstrip("/")
                if name.lower().endswith(TABLE) if tables else not is_companion(inside):
                    yield f"{folder.rstrip('/')}/{name}"
    elif system.exists(path):
        yield path


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
