"""What every source yields, whatever its kind: one entry per image, in a fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mirante.images import read_bytes


@dataclass(frozen=True)
class Entry:
    """One image as its source holds it: a name, and a way to read it.

    path     with forward slashes, relative to the source; unique within it
    payload  encoded bytes, the file that holds them, a function that fetches them, or uint8 pixels (H, W, C)
    label    the class, if the source itself gives it (arrays do)
    split    train, val or test, if the source itself gives it
    error    why the source could not give its bytes; the payload is then empty
    group    what it belongs to, if the source itself says so: the film of a frame
    reread   a way to read it again later, where the payload holds pixels that are soon forgotten
    """

    path: str
    payload: Any
    label: str | None = None
    split: str | None = None
    error: str | None = None
    group: str | None = None
    reread: Callable[[], Any] | None = None

    def content(self) -> Any:
        """Return what is stored: encoded bytes, or pixels. Raises ImageError when it cannot be read."""
        if isinstance(self.payload, Path):
            return read_bytes(self.payload)
        return self.payload() if callable(self.payload) else self.payload


@dataclass(frozen=True)
class Skipped:
    """An image that was left out, and why; `label` is its class, where its folder says so."""

    path: str
    reason: str
    label: str | None = None


class Source(Protocol):
    """Anything that holds images and is named by one location: a folder, an archive, a table, a store, a file, arrays."""

    name: str
    """Short name, used to name runs."""

    classes: tuple[str, ...] | None
    """The classes in their official order, if there is one; None sorts them by name."""

    def stamp(self) -> str:
        """Return a text that changes when any image is added, removed or rewritten; cheap, without reading images."""

    def entries(self) -> Iterator[Entry]:
        """Yield every image; what is clearly something else (see `is_companion`) is left out."""

    def find(self, name: str) -> tuple[str, bytes] | None:
        """Return (path, content) of a file with that relative path or name inside the source, such as a table of labels."""

    def named(self, path: str) -> str:
        """Return the user's name for the entry at this path: its full location, not only its place inside the source."""


@runtime_checkable
class HasSidecars(Protocol):
    """A source in which files of XMP may lie beside the images."""

    def sidecars(self) -> Iterator[tuple[str, bytes]]:
        """Yield (path, content) of each .xmp file. Raises OSError."""


# Files often found beside images. Anything else is taken for an image, and reported if it is not one.
_COMPANIONS = frozenset(
    ".txt .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .md .rst .html .htm .pdf .parquet .db .log .py .ipynb "
    ".sh .npy .npz .zip .tar .gz .xz .zst .xmp .aae .mp4 .mov .mkv .avi .webm .m4v .lnk .url".split()
)


SYSTEM_FILES = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
"""Files that a system writes where a person looks, in lower case."""

SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "thumbnails")
)
"""Folders that systems and network drives put among a person's own, in lower case: thumbnails, what was deleted, and the like."""


def is_companion(path: str) -> bool:
    """Tell whether a path is hidden, a system's own file, or of a kind that is never an image.

    >>> [is_companion(p) for p in ("cat/1.jpg", "labels.csv", "cat/.DS_Store", "__MACOSX/cat/1.jpg", "cat/@eaDir/1.jpg", "scan")]
    [False, True, True, True, True, False]
    """
    parts = PurePosixPath(path).parts
    return (
        is_hidden(path)
        or parts[-1].lower() in (*SYSTEM_FILES, "dicomdir")
        or PurePosixPath(path).suffix.lower() in _COMPANIONS
    )


def is_hidden(path: str) -> bool:
    """Tell whether a path is hidden, or in a folder that a system keeps for itself."""
    parts = PurePosixPath(path).parts
    return any(part.startswith(".") for part in parts) or any(part.lower() in SYSTEM_FOLDERS for part in parts[:-1])


def digest_of(content: bytes | NDArray[np.uint8]) -> str:
    """Return the digest of an image's content, by which splits, caches, features and answers identify it."""
    if isinstance(content, np.ndarray):
        content = np.ascontiguousarray(content).tobytes() + repr(content.shape).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_of_file(path: Path) -> str:
    """Return the digest of a file's content, read piece by piece. Raises OSError."""
    found = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def printable(path: str) -> str:
    """Return a path as text that can be written anywhere: bytes that are not UTF-8, and control characters, become \\xNN.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(letter):02x}" if ord(letter) < 32 or 127 <= ord(letter) < 160 else letter for letter in text
    )


def find_path(paths: list[str], name: str) -> str | None:
    """Return the path that is `name`, or else the shallowest one that ends with it as whole parts."""
    wanted = name.replace("\\", "/").removeprefix("./")
    matches = [path for path in paths if path == wanted or path.endswith("/" + wanted)]
    return min(matches, key=lambda path: (path.count("/"), path), default=None)
