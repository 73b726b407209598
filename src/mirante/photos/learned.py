"""What a run has learned from people's answers, kept in the run: what one folder taught stays when another one teaches.

Digests, answers and features, never the pictures; a model that comes back brings its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirante import runfolder
from mirante.errors import RunError
from mirante.files import write_file
from mirante.photos.fit import Known
from mirante.run import read_arrays


@dataclass(frozen=True)
class Learned:
    """Photos that a run has learned from.

    folders  (N,) the folder that each is of, as a digest of its name
    classes  that their targets number
    """

    known: Known
    folders: tuple[str, ...]
    classes: tuple[str, ...]

    def of_others(self, folder: str, answered: Iterable[str]) -> Learned:
        """Return those of other folders, but for photos that have an answer in this one: it is the later word."""
        told = set(answered)
        return self._only(
            [one != folder and digest not in told for one, digest in zip(self.folders, self.known.digests, strict=True)]
        )

    def numbered_as(self, classes: tuple[str, ...]) -> Learned:
        """Return those whose class is among `classes`, with its numbers; of several labels -1 (not known) where one was not."""
        places = np.array([classes.index(name) if name in classes else -1 for name in self.classes], np.int64)
        targets = self.known.targets
        if targets.ndim == 1:
            changed = self._only((places[targets] >= 0).tolist())
            return Learned(replace(changed.known, targets=places[changed.known.targets]), changed.folders, classes)
        wide = np.full((len(targets), len(classes)), -1, np.int64)
        wide[:, places[places >= 0]] = targets[:, places >= 0]
        return Learned(replace(self.known, targets=wide), self.folders, classes)

    def and_of(self, folder: str, known: Known) -> Learned:
        """Return these and the photos of one more folder, in the order of their digests."""
        digests = [*self.known.digests, *known.digests]
        order = sorted(range(len(digests)), key=digests.__getitem__)
        targets = np.concatenate([self.known.targets, known.targets])
        features = np.concatenate([self.known.features, known.features])
        folders = [*self.folders, *[folder] * len(known.digests)]
        joined = Known(tuple(digests[row] for row in order), targets[order], features[order])
        return Learned(joined, tuple(folders[row] for row in order), self.classes)

    def _only(self, kept: list[bool]) -> Learned:
        folders = tuple(one for one, stays in zip(self.folders, kept, strict=True) if stays)
        return Learned(self.known.only(np.array(kept, bool)), folders, self.classes)

    def write(self, run: Path) -> None:
        """Keep it in a run folder."""

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(
                    file,
                    digests=np.array(self.known.digests, np.str_),
                    folders=np.array(self.folders, np.str_),
                    classes=np.array(self.classes, np.str_),
                    targets=self.known.targets,
                    features=self.known.features,
                )

        write_file(run / runfolder.LEARNED, write)


def learned_of(run: Path, none: Known, classes: tuple[str, ...]) -> Learned:
    """Return what a run has learned; `none`, of its classes, where that is nothing. Raises RunError when it is damaged."""
    path = run / runfolder.LEARNED
    if not path.exists():
        return Learned(none, (), classes)
    digests, folders, names, targets, features = read_arrays(
        path, digests=np.str_, folders=np.str_, classes=np.str_, targets=np.int64, features=np.float32
    )
    if features.ndim == 2:  # from when one network saw them
        features = features[:, None]
    counts = {len(one) for one in (digests, folders, targets, features)}
    if len(counts) != 1 or features.shape[1:] != none.features.shape[1:]:
        raise RunError(f"{path}: damaged; restore the file or train again.")
    known = Known(tuple(map(str, digests)), targets, features)
    return Learned(known, tuple(map(str, folders)), tuple(map(str, names)))
