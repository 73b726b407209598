"""The photos of a folder as people keep them: any names, with the files that belong to each photo.

Knows names only. Links are left alone, and what cannot be opened is reported, not raised.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from mirante.data.entries import SYSTEM_FOLDERS, Skipped, printable
from mirante.formats import ENDINGS

MEMORY = ".mirante"
"""The folder beside the photos in which Mirante keeps what it knows about them; never searched for photos."""

_RAW = frozenset(f".{suffix}" for suffix in ENDINGS["RAW"])
PHOTOS = frozenset(f".{suffix}" for endings in ENDINGS.values() for suffix in endings) - _RAW
_BESIDE = _RAW | frozenset(".xmp .aae .mov .mp4 .thm .pp3 .dop .json".split())


@dataclass(frozen=True)
class Photo:
    """One photo: its file, relative to the folder, and the files that go where it goes (sidecars, RAW, live video)."""

    path: str
    companions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Walked:
    """What a folder holds: photos by path, and what was passed over, with the reason."""

    photos: tuple[Photo, ...]
    skipped: tuple[Skipped, ...]


def walk(folder: Path) -> Walked:
    """Return the photos under a folder. Raises OSError when the folder itself cannot be opened.

    A file belongs to a photo of its folder when it has the photo's name, or the name without its ending, and an ending that cameras
    and programs use beside photos: IMG_1.jpg has IMG_1.xmp, img_1.jpg.xmp, IMG_1.MOV, IMG_1.CR2. Of two photos with one stem,
    the first one gets them.
    """
    skipped: list[Skipped] = []
    os.listdir(folder)  # noqa: PTH208 (os.walk would be silent)

    def refuse(error: OSError) -> None:
        skipped.append(Skipped(_inside(folder, error.filename), f"cannot be opened ({error.strerror})"))

    photos: list[Photo] = []
    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS)
        for name in list(folders):
            if (Path(here) / name).is_symlink():
                folders.remove(name)
                skipped.append(Skipped(_inside(folder, Path(here) / name), "a link; left where it is"))
        files = []
        for name in sorted(names):
            if name.startswith("."):
                continue
            if (Path(here) / name).is_symlink():
                if _is_photo(name):
                    skipped.append(Skipped(_inside(folder, Path(here) / name), "a link; left where it is"))
            else:
                files.append(name)
        photos += _photos(PurePath(here).relative_to(folder), files)
    return Walked(tuple(sorted(photos, key=lambda one: one.path)), tuple(skipped))


def _is_photo(name: str) -> bool:
    return PurePath(name.rstrip(". ")).suffix.lower() in PHOTOS


def _photos(inside: PurePath, names: list[str]) -> Iterator[Photo]:
    owners: dict[str, str] = {}
    chosen = [name for name in names if _is_photo(name)]
    for name in chosen:
        owners.setdefault(name.casefold(), name)
    for name in chosen:
        owners.setdefault(PurePath(name).stem.casefold(), name)
    beside: dict[str, list[str]] = defaultdict(list)
    for name in names:
        path = PurePath(name)
        owner = owners.get(path.stem.casefold())
        if path.suffix.lower() in _BESIDE and owner is not None:
            beside[owner].append((inside / name).as_posix())
    for name in chosen:
        yield Photo((inside / name).as_posix(), tuple(beside[name]))


def _inside(folder: Path, path: str | Path) -> str:
    return printable(Path(path).relative_to(folder).as_posix())
