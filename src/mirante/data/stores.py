"""Files on this machine or in an object store (s3://, gs://, az://, https:// …), through fsspec."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirante.data.entries import Entry, find_path, is_companion
from mirante.errors import DataError, ImageError, RequestError, WorkError
from mirante.files import write_bytes
from mirante.images import MAX_BYTES, read_bytes
from mirante.places import cache_folder

TABLE = ".parquet"
_PAUSES = (0.5, 2.0)  # seconds before a store is asked for a file again


def place(location: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and the path in it. Raises RequestError when the package for it is missing."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if "://" not in location:
        return LocalFileSystem(), str(Path(location).expanduser().absolute())
    try:
        system, path = url_to_fs(location)
    except (ImportError, ValueError) as error:
        raise RequestError(f"{location}: {str(error).rstrip('.')}.") from error
    return system, str(path)


def is_local(system: Any) -> bool:
    """Tell whether a file system is on this machine."""
    protocol = system.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def below(location: str, name: str) -> str:
    """Return the path or URL of this name in a folder."""
    return f"{location.rstrip('/')}/{name}"


def exists(location: str) -> bool:
    """Tell whether there is something at a path or URL."""
    system, path = place(location)
    return bool(system.exists(path))


def read(location: str) -> bytes:
    """Return a file's bytes. Raises ImageError when it is missing or too large or, after three attempts, for any other reason."""
    try:
        system, path = place(location)
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
        except Exception as error:  # every store has its own errors
            if pause is None or isinstance(error, PermissionError):
                raise ImageError(f"cannot be fetched ({_reason(error)})") from error
            time.sleep(pause)
    if len(content) > MAX_BYTES:
        raise ImageError(f"file larger than {MAX_BYTES >> 20} MiB")
    return content


def write(location: str, content: bytes) -> None:
    """Put the content at a path or URL in one step: readers find the old file, none, or the complete new one.

    Raises WorkError when it cannot be written.
    """
    system, path = place(location)
    if is_local(system):
        write_bytes(Path(path), content)
        return
    try:
        system.pipe_file(path, content)  # stores make a file visible only when it is complete
    except Exception as error:
        raise WorkError(f"{location} could not be written: {_reason(error)}.") from error


def files(location: str) -> Iterator[str]:
    """Yield the paths or URLs of everything at a location: a file, matches of a pattern, or all images or tables in a folder.

    Raises DataError when it names nothing.
    """
    system, path = place(location)
    for one in _listed(location, system, path):
        yield one if is_local(system) else system.unstrip_protocol(one)


def _listed(location: str, system: Any, path: str) -> Iterator[str]:
    """Yield the file-system paths of everything at a location. Raises DataError as `files` does."""
    found = 0
    try:
        for one in _files(system, path):
            found += 1
            yield one
    except OSError as error:
        raise DataError(f"{location}: cannot be listed ({_reason(error)}).") from error
    if not found:
        raise DataError(f"{location}: no image in it, and no file with that name.")


@dataclass(frozen=True)
class Remote:
    """A file in a store, read when called; its bytes are then kept in `kept`, if given.

    Raises ImageError when it cannot be fetched.
    """

    url: str
    kept: Path | None = None

    def __call__(self) -> bytes:
        if self.kept is None:
            return read(self.url)
        if not self.kept.exists():
            content = read(self.url)
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self.kept, content)
        return self.kept.read_bytes()


class StoreSource:
    """All images under an object-store URL. For training, each is fetched once and kept in the cache (`keep`)."""

    classes: tuple[str, ...] | None = None

    def __init__(self, url: str, keep: bool) -> None:
        self.url = url
        self._system, self._path = place(url)
        signs = [self._path.index(sign) for sign in "*?[" if sign in self._path]
        self._base = (self._path[: min(signs)].rpartition("/")[0] if signs else self._path).rstrip("/")
        self.name = self._base.rpartition("/")[2] or "images"
        self._keep = keep

    def stamp(self) -> str:
        digest = hashlib.sha256(self.url.encode())
        for path, state in self._states():
            digest.update(f"{path}\0{state}\n".encode())
        return digest.hexdigest()

    def entries(self) -> Iterator[Entry]:
        folder = cache_folder() / "fetched"
        for path, state in self._states():
            url = self._system.unstrip_protocol(path)
            key = hashlib.sha256(f"{url}\0{state}".encode()).hexdigest()[:32]
            yield Entry(self._inside(path), Remote(url, folder / key if self._keep else None))

    def find(self, name: str) -> tuple[str, bytes] | None:
        inside = {self._inside(one): one for one in self._system.find(self._base)}
        found = find_path(list(inside), name)
        return None if found is None else (found, bytes(self._system.cat_file(inside[found])))

    def named(self, path: str) -> str:
        return self.url if path == self.name else below(self._system.unstrip_protocol(self._base), path)

    def _inside(self, path: str) -> str:
        """Return the path inside the source of a file-system path; the store's form of a URL may differ from the user's."""
        start = self._base + "/"
        return path.removeprefix(start) if path.startswith(start) else path.rpartition("/")[2]

    def _states(self) -> Iterator[tuple[str, str]]:
        """Yield each file's path in the file system, and a text that changes with its content."""
        for path in _listed(self.url, self._system, self._path):
            info = self._system.info(path) if self._keep else {}
            yield path, " ".join(str(info.get(key, "")) for key in ("size", "ETag", "LastModified", "mtime"))


def _files(system: Any, path: str) -> Iterator[str]:
    if is_local(system) and os.path.isfile(path):  # noqa: PTH113 - a name may contain * and not be text
        yield path
    elif any(sign in path for sign in "*?["):
        yield from sorted(system.glob(path))
    elif not is_local(system) and system.protocol in (("http", "https"), "http", "https"):
        yield path  # a web page is not a folder
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
