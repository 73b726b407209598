"""Images as files on disk: a folder with everything under it, or just the files that a list names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mirante.data.entries import Entry, find_path, is_companion, is_hidden, printable
from mirante.data.file_states import digest_of_states
from mirante.data.films import Sampling, StillOf, film_entries, is_film, parted
from mirante.errors import DataError


class FolderSource:
    """A folder and everything under it; links to folders are not followed, so that there are no loops."""

    classes: tuple[str, ...] | None = None

    def __init__(self, root: Path, sampling: Sampling | None = None) -> None:
        """Find the images below `root`; of films, those that `sampling` says, or none."""
        self.root = root
        self.name = root.resolve().name or "images"
        self._sampling = sampling
        self._folders: list[str] = []  # when they were last looked at

    def stamp(self) -> str:
        files, links = self._walked()
        stamp = _stamp(self.root, [*files, *links])
        return stamp if self._sampling is None else f"{stamp} {self._sampling}"

    def entries(self) -> Iterator[Entry]:
        files, links = self._walked()
        for path in files:
            if self._sampling is not None and is_film(path) and not is_hidden(path):
                yield from film_entries(self.root / path, printable(path), self._sampling)
            elif not is_companion(path):
                yield Entry(printable(path), self.root / path)
        for path in links:  # they may be whole classes, and must not be missing without a word
            if not is_companion(f"{path}/image"):
                yield Entry(printable(path), b"", error="a link to a folder, which is not followed")

    def named(self, path: str) -> str:
        return str(self.root / path)

    def find(self, name: str) -> tuple[str, bytes] | None:
        path = find_path(self._walked()[0], name)
        return None if path is None else (path, (self.root / path).read_bytes())

    def sidecars(self) -> Iterator[tuple[str, bytes]]:
        for path in self._walked()[0]:
            if path.lower().endswith(".xmp"):
                yield printable(path), (self.root / path).read_bytes()

    def _walked(self) -> tuple[list[str], list[str]]:
        """Return the files and the links to folders, relative to the root."""

        def refuse(error: OSError) -> None:
            raise DataError(f"{error.filename}: the folder cannot be opened ({error.strerror}).") from error

        files, links, seen = [], [], []
        for folder, folders, names in os.walk(self.root, onerror=refuse):
            inside = Path(folder).relative_to(self.root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            seen.append(printable(prefix[:-1]))
            files += [prefix + name for name in names]
            links += [prefix + name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118 (a million names)
        self._folders = seen
        return sorted(files), sorted(links)

    def empty_folders(self, paths: Iterable[str]) -> list[str]:
        """Return the folders below which no image lies, the outermost ones: each may be a class without images.

        paths  of all images, as they were found when the folders were last looked at
        """
        filled = {""}
        for folder in {path.rpartition("/")[0] for path in paths}:
            while folder not in filled:
                filled.add(folder)
                folder = folder.rpartition("/")[0]
        empty = (folder for folder in self._folders if folder not in filled and not is_companion(f"{folder}/image"))
        return sorted(folder for folder in empty if folder.rpartition("/")[0] in filled)


def only_films(root: Path) -> bool:
    """Tell whether the files below a folder that may hold pictures are films, and there is at least one."""
    found = False
    for here, _, files in os.walk(root):
        inside = Path(here).relative_to(root)
        for name in files:
            path = (inside / name).as_posix()
            if not is_companion(path):
                return False
            found = found or (is_film(path) and not is_hidden(path))
    return found


class ListedFiles:
    """The files that a table names, relative to `root`; the table says their labels. A name such as film.mp4#t=3 is of a frame."""

    classes: tuple[str, ...] | None = None

    def __init__(self, root: Path, paths: list[str], name: str) -> None:
        self.root = root
        self.name = name
        self._paths = list(dict.fromkeys(paths))

    def stamp(self) -> str:
        return _stamp(self.root, self._paths)

    def entries(self) -> Iterator[Entry]:
        for path in self._paths:
            frame = parted(path)
            if frame is None:
                yield Entry(path, self.root / path)
            else:
                yield Entry(path, StillOf(self.root / frame[0], frame[1]), group=frame[0])

    def named(self, path: str) -> str:
        return str(self.root / path)

    def find(self, name: str) -> tuple[str, bytes] | None:
        return None


class SingleFile(ListedFiles):
    """One file, taken for an image whatever its name."""

    def __init__(self, path: Path, location: str) -> None:
        super().__init__(path.parent, [path.name], path.stem)
        self._location = location

    def named(self, path: str) -> str:
        return printable(self._location)


def _stamp(root: Path, paths: list[str]) -> str:
    folder = str(root.resolve())
    frames = {path: frame[0] for path in paths if "#" in path and (frame := parted(path)) is not None}
    files = list(dict.fromkeys(frames.get(path, path) for path in paths)) if frames else paths
    asked = hashlib.sha256("\0".join([folder, *frames]).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{asked} {digest_of_states(root, files)}"


class FilmSource:
    """One film."""

    classes: tuple[str, ...] | None = None

    def __init__(self, path: Path, location: str, sampling: Sampling) -> None:
        self.path, self.name, self._location, self._sampling = path, path.stem, location, sampling

    def stamp(self) -> str:
        return f"{_stamp(self.path.parent, [self.path.name])} {self._sampling}"

    def entries(self) -> Iterator[Entry]:
        yield from film_entries(self.path, printable(self._location), self._sampling)

    def named(self, path: str) -> str:
        return path

    def find(self, name: str) -> tuple[str, bytes] | None:
        return None
