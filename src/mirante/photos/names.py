"""Names of files and folders: unused, short enough, and accepted by every file system."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 255  # bytes of a name, on nearly every file system
_RESERVED = re.compile(r'[\x00-\x1f/\\:*?"<>|]')


def free_name(path: str) -> str:
    """Return the path or, where something is already there, the first of "name (2).jpg", "name (3).jpg" … that is free."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    number = 1
    while os.path.lexists(path):
        number += 1
        path = os.path.join(folder, numbered(name, len(stem), number))
    return path


def numbered(name: str, stem: int, number: int, longest: int | None = None) -> str:
    """Return a name with " (number)" after the first `stem` letters; letters before it are dropped where the name gets too long.

    longest  bytes of the longest part after the stem among files that are numbered together

    >>> numbered("img.jpg.xmp", 3, 2), numbered("img.jpg", 3, 1), len(numbered("x" * 250 + ".jpg", 250, 2))
    ('img (2).jpg.xmp', 'img.jpg', 255)
    """
    if number == 1:
        return name
    kept, rest = name[:stem], name[stem:]
    mark = f" ({number})"
    room = _LONGEST - len(mark) - max(longest or 0, len(os.fsencode(rest)))
    while len(os.fsencode(kept)) > room:
        kept = kept[:-1]
    return kept + mark + rest


def safe_name(name: str) -> str:
    """Return a folder name that every file system accepts.

    >>> [safe_name(name) for name in ("tulip", "a/b: c?", "..", " x. ", "CON")]
    ['tulip', 'a-b- c-', '-', 'x', 'CON-']
    """
    clean = _RESERVED.sub("-", name).strip().rstrip(". ").lstrip(".") or "-"
    if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", clean):
        clean += "-"
    while len(os.fsencode(clean)) > 200:
        clean = clean[:-1]
    return clean


def missing_folders(folder: Path) -> Iterator[str]:
    """Yield the folders that must be made for this one to be there, the outer ones first."""
    for parent in [*reversed(folder.parents), folder]:
        if not os.path.lexists(parent):
            yield str(parent)
