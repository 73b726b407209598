"""Images inside .zip and .tar(.gz, .bz2, .xz, .zst), read in place from start to end, never unpacked to disk.

An archive with members that could write elsewhere (`../`, absolute paths, links, devices) is refused as a whole, although
nothing is ever written out here: nobody makes such an image archive by accident.
"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from mirante.data.entries import Entry, find_path, is_companion, printable
from mirante.data.file_states import digest_of_states
from mirante.errors import DataError
from mirante.images import MAX_BYTES

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_UTF8 = 0x800  # the flag of a zip's member that says its name is in UTF-8
ARCHIVE_SUFFIXES = (".zip", *TAR_SUFFIXES)


class ArchiveSource:
    """One archive file."""

    classes: tuple[str, ...] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name[: -len(next(end for end in ARCHIVE_SUFFIXES if path.name.lower().endswith(end)))]

    def stamp(self) -> str:
        return f"{self.path.resolve()} {digest_of_states(self.path.parent, [self.path.name])}"

    def entries(self) -> Iterator[Entry]:
        with self._damage_said():
            for name, read in self._members():
                if is_companion(name):
                    continue
                try:
                    yield Entry(printable(name), read())
                except _OneMember as error:
                    yield Entry(printable(name), b"", error=str(error))

    def named(self, path: str) -> str:
        return f"{self.path}:{path}"

    def find(self, name: str) -> tuple[str, bytes] | None:
        with self._damage_said():
            # one pass for the names, one for the content: a tar can only be read from its beginning
            path = find_path([member for member, _ in self._members()], name)
            for member, read in self._members() if path is not None else ():
                if member == path:
                    return member, read()
        return None

    def sidecars(self) -> Iterator[tuple[str, bytes]]:
        with self._damage_said():
            for name, read in self._members():
                if name.lower().endswith(".xmp"):
                    yield printable(name), read()

    def _members(self) -> Iterator[tuple[str, _Reader]]:
        is_zip = self.path.name.lower().endswith(".zip")
        return _zip_members(self.path) if is_zip else _tar_members(self.path)

    @contextmanager
    def _damage_said(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError) as error:
            raise DataError(f"{self.path}: the archive is damaged or truncated; download or make it again.") from error
        except _OneMember as error:
            raise DataError(f"{self.path}: a file in it cannot be read ({error}).") from error
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror or error}).") from error


class _OneMember(Exception):
    """One member cannot be read; the others can."""


class _Reader:
    """Reads one member's bytes when called; valid only until the next member is asked for."""

    def __init__(self, size: int, opened: IO[bytes] | None, archive: zipfile.ZipFile | None = None, name: str = ""):
        self._size, self._opened, self._archive, self._name = size, opened, archive, name

    def __call__(self) -> bytes:
        if self._size > MAX_BYTES:
            raise _OneMember(f"file larger than {MAX_BYTES >> 20} MiB")
        if self._archive is None:
            return self._opened.read() if self._opened is not None else b""
        try:
            with self._archive.open(self._name) as file:
                return file.read(self._size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _OneMember("damaged inside the archive") from error
        except NotImplementedError as error:  # a kind of RuntimeError, so it comes first
            raise _OneMember("compressed in a way that Python cannot read") from error
        except RuntimeError as error:
            raise _OneMember("encrypted inside the archive") from error


def _zip_members(path: Path) -> Iterator[tuple[str, _Reader]]:
    with zipfile.ZipFile(path) as archive:
        infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
        for info in infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            _refuse_unsafe(path, info.filename, kind not in (0, stat.S_IFREG))
        for info in infos:
            yield _name_of(info), _Reader(info.file_size, None, archive, info.filename)


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return a member's name as its writer meant it, with forward slashes.

    Old programs on Windows write backslashes. Names are in code page 437 unless a flag says UTF-8; macOS writes UTF-8 without the
    flag, and Windows in Western Europe and the Americas writes code page 850.
    """
    name = info.filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        raw = name.encode("cp437")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            if any(
                "\u2500" <= letter <= "\u257f" or "\u0370" <= letter <= "\u03ff" for letter in name
            ):  # boxes and Greek
                name = raw.decode("cp850")
    return name.replace("\\", "/")


def _tar_members(path: Path) -> Iterator[tuple[str, _Reader]]:
    with _tar_stream(path) as archive:
        for info in archive:
            if info.isdir():
                continue
            _refuse_unsafe(path, info.name, not info.isreg())
            # the size in the header is not trusted: tarfile reads no more than info.size
            yield info.name.removeprefix("./"), _Reader(info.size, archive.extractfile(info))


@contextmanager
def _tar_stream(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.name.lower().endswith((".zst", ".tzst")):
        with tarfile.open(path, "r|*") as archive:
            yield archive
        return
    try:
        from compression import zstd  # Python 3.14

        opened = zstd.open(path, "rb")
        damaged: type[Exception] = zstd.ZstdError
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise DataError(
                f"{path}: .zst needs one more package; run pip install 'mirante[zstd]' and try again."
            ) from None
        opened = zstandard.open(path, "rb")
        damaged = zstandard.ZstdError
    try:
        with opened, tarfile.open(fileobj=opened, mode="r|") as archive:
            yield archive
    except damaged as error:
        raise EOFError(str(error)) from error


def _refuse_unsafe(path: Path, name: str, is_special: bool) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if is_special:
        raise DataError(f"{path}: {name!r} is a link or a device, not a file; make the archive again from plain files.")
    if parts.is_absolute() or ".." in parts.parts or (parts.parts and parts.parts[0].endswith(":")):
        raise DataError(f"{path}: {name!r} points outside the archive; make the archive again with relative paths.")
