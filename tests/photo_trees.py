"""Folders of photos as people have them, and what is in a folder, to compare."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

from conftest import draw_shape

from mirante import xmp

NAMES = [
    "plain.jpg", "-rf.jpg", "a b.jpg", "dots..jpg", "new\nline.jpg", "flor é.jpg", "flor e\u0301.jpg", "🌷🌷.jpg",
    "IMG.JPG", "img.jpg", "Img.jpg", "x" * 246 + ".jpg", "'quote\".jpg", "no\udce9text.jpg", "trailing.jpg.", "%s{class}.jpg",
]  # fmt: skip


def tree(folder: Path) -> dict[str, tuple[str, int, int, str]]:
    """Return path → (content's digest, mode, time of change, kind) of everything in a folder; links are not followed."""
    found = {}
    for here, folders, names in os.walk(os.fspath(folder)):
        for name in [*folders, *names]:
            path = os.path.join(here, name)
            status = os.lstat(path)
            kind = "link" if os.path.islink(path) else "folder" if os.path.isdir(path) else "file"
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if kind == "file" else ""
            found[os.path.relpath(path, folder)] = (digest, status.st_mode, status.st_mtime_ns, kind)
    return found


def contents(*folders: Path) -> Counter[str]:
    """Return how often each content is in some folders, what Mirante keeps for itself left out."""
    found: Counter[str] = Counter()
    for folder in folders:
        for path, (digest, _, _, kind) in tree(folder).items() if folder.exists() else ():
            if kind == "file" and ".mirante" not in path:
                found[digest] += 1
    return found


def write_album(folder: Path) -> Path:
    """Write photos with names as people have them, in two folders, with companions, links and things that are no photos."""
    for number, name in enumerate(NAMES):
        place = folder / ("2023" if number % 2 else "2024")
        place.mkdir(parents=True, exist_ok=True)
        draw_shape(("bar", "cross", "disc")[number % 3], number).save(place / name, "PNG")
        os.utime(place / name, ns=(10**18 + number, 10**18 + 12345 * number))
        (place / name).chmod(0o640 if number % 2 else 0o604)
    for name in ("plain.xmp", "plain.jpg.xmp", "PLAIN.MOV", "plain.CR2", "plain.aae"):
        (folder / "2024" / name).write_bytes(
            xmp.with_class(None, "old", 0.5) if name.endswith("xmp") else name.encode()
        )
    (folder / "2024" / "notes.txt").write_text("not a photo")
    (folder / "2024" / "broken.jpg").write_bytes(b"no image")
    (folder / "2024" / "link.jpg").symlink_to("plain.jpg")
    (folder / "2024" / "away").symlink_to("/etc")
    os.link(folder / "2024" / "plain.jpg", folder / "2023" / "hard.jpg")
    os.utime(folder / "2023", ns=(10**18, 10**18))
    return folder
