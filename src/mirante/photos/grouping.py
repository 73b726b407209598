"""Group a folder of photos, and remember the groups: what `mirante photos group` does, from a folder to named groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mirante.data.entries import Skipped, printable
from mirante.errors import RequestError
from mirante.locale import Language
from mirante.photos.features import packaged_extractor
from mirante.photos.group import group
from mirante.photos.library import Known, Library


@dataclass(frozen=True)
class Group:
    """A group: its proposed name, its photos, the most typical first, and how many there are when a burst counts as one."""

    name: str
    photos: tuple[Known, ...]
    stacks: int

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "photos": [printable(one.path) for one in self.photos], "bursts_as_one": self.stacks}


def group_folder(library: Library, say: Language) -> tuple[list[Group], list[Skipped]]:
    """Group the photos of a library and keep the groups in it; return them, and what could not be used.

    Groups are made from scratch; answers that came from naming earlier ones stay. Raises RequestError when there is no photo.
    """
    photos, skipped = library.look()
    if not photos:
        raise RequestError(f"{library.folder}: it contains no photo that can be read.")
    extractor = packaged_extractor()
    features, damaged = extractor.look(library.folder, photos)
    skipped += [Skipped(printable(photos[row].path), "damaged: its pixels cannot be decoded") for row in damaged]
    sound = np.setdiff1d(np.arange(len(photos)), damaged)
    photos = [photos[row] for row in sound]
    if not photos:
        raise RequestError(f"{library.folder}: it contains no photo that can be read.")
    found = group(features[sound], extractor, [one.taken for one in photos])
    groups = [
        Group(
            name or say("group {number}", number=number),
            tuple(photos[row] for row in rows),
            len(np.unique(found.stacks[list(rows)])),
        )
        for number, (name, rows) in enumerate(zip(found.names, found.groups, strict=True), 1)
    ]
    library.keep_groups([[one.digest for one in each.photos] for each in groups], [each.name for each in groups])
    return groups, skipped
