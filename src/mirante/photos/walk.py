"""The photos of a folder as people keep them: any names, with the files that belong to each photo.

Knows names only. Links are left alone, and what cannot be opened is reported, not raised.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from mirante.data.entries import SYSTEM_FOLDERS, Skipped, printable
from mirante.data.films import is_film
from mirante.formats import ENDINGS

MEMORY = ".mirante"
"""The folder beside the photos in which Mirante keeps what it knows about them; never searched for photos."""

_RAW = frozenset(f".{suffix}" for suffix in ENDINGS["RAW"])
PHOTOS = frozenset(f".{suffix}" for endings in ENDINGS.values() for suffix in endings) - _RAW
_FILMS = frozenset(".mov .mp4 .mp .m4v .avi .mts .m2ts .3gp .mkv .webm".split())
_NOTES = frozenset(".xmp .aae .thm .pp3 .dop .json".split())
_BESIDE = _RAW | _FILMS | _NOTES
_TAKEOUT = ".supplemental-metadata"  # of which Google Takeout writes as much as a name may have
_CUT = 40  # letters of a name from which Takeout may have cut it


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


def walk(folder: Path, films: bool = False) -> Walked:
    """Return the photos under a folder, and the films that can be read if they are wanted. Raises OSError when it cannot be opened.

    A file belongs to a photo of its folder when it has the photo's name, or the name without its ending, and an ending that cameras
    and programs use beside photos: IMG_1.jpg has IMG_1.xmp, img_1.jpg.xmp, IMG_1.MOV, IMG_1.CR2, IMG_1.cr2.xmp, and from Google
    Takeout IMG_1.jpg.supplemental-metadata.json and its shortened forms. Of two photos with one stem, the first one gets them. A
    film or RAW photo that belongs to none is passed over and named, a film only where films are not wanted.
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
        inside = PurePath(here).relative_to(folder)
        found = list(_photos(inside, files, films))
        photos += found
        owned = {name for photo in found for name in photo.companions}
        taken = {photo.path for photo in found}
        for name in files:
            what = None if (inside / name).as_posix() in taken else _other(name)
            if what is not None and (inside / name).as_posix() not in owned:
                skipped.append(Skipped(printable((inside / name).as_posix()), f"{what}; left where it is"))
    return Walked(tuple(sorted(photos, key=lambda one: one.path)), tuple(skipped))


def _is_photo(name: str) -> bool:
    return PurePath(name.rstrip(". ")).suffix.lower() in PHOTOS


def _photos(inside: PurePath, names: list[str], films: bool) -> Iterator[Photo]:
    owners: dict[str, str] = {}
    chosen = [name for name in names if _is_photo(name)]
    for name in chosen:
        owners.setdefault(name.casefold(), name)
    for name in chosen:
        owners.setdefault(PurePath(name).stem.casefold(), name)
    if films:
        own = [name for name in names if is_film(name) and _owner(name, owners) is None]
        for name in own:  # of a film and its notes, the film is the photo
            owners.setdefault(name.casefold(), name)
            owners.setdefault(PurePath(name).stem.casefold(), name)
        chosen += own
    photos = set(chosen)
    beside: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if (
            PurePath(name).suffix.lower() in _BESIDE
            and name not in photos
            and (owner := _owner(name, owners)) is not None
        ):
            beside[owner].append((inside / name).as_posix())
    for name in chosen:
        yield Photo((inside / name).as_posix(), tuple(beside[name]))


def _owner(name: str, owners: dict[str, str]) -> str | None:
    """Return the photo that a file lies beside; `owners` is name → photo, in lower case, with and without its ending."""
    path = PurePath(name)
    whole, stem, ending = name.casefold(), path.stem.casefold(), path.suffix.lower()
    if whole in owners:  # PXL_1.MP beside PXL_1.MP.jpg
        return owners[whole]
    if stem in owners:
        return owners[stem]
    if ending in _NOTES and PurePath(stem).suffix in _RAW and PurePath(stem).stem in owners:
        return owners[PurePath(stem).stem]
    if ending != ".json":
        return None
    matched = re.fullmatch(r"(.+?)(\(\d+\))?", stem)
    assert matched is not None
    base, number = matched[1], matched[2] or ""
    said = base.rpartition(".")
    if said[1] and _TAKEOUT.startswith(f".{said[2]}"):
        base = said[0]
    if number:  # IMG.jpg(1).json is of IMG(1).jpg
        kept = PurePath(base)
        base = f"{kept.stem}{number}{kept.suffix}"
    if base in owners:
        return owners[base]
    longer = [owner for known, owner in owners.items() if known.startswith(base)] if len(base) >= _CUT else []
    return longer[0] if len(set(longer)) == 1 else None


def _other(name: str) -> str | None:
    """Say what a file is that people keep among photos, and that is none that can be sorted."""
    ending = PurePath(name).suffix.lower()
    return "a RAW photo without a picture beside it" if ending in _RAW else "a film" if ending in _FILMS else None


def _inside(folder: Path, path: str | Path) -> str:
    return printable(Path(path).relative_to(folder).as_posix())
