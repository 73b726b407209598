"""A set of labelled images, split and ready: every verb that reads data opens one.

Holds no pixels; `Dataset.load` decodes them (once, see cache.py) into one array.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from mirante.data.entries import Entry, Skipped, Source
from mirante.data.notes import Note
from mirante.data.partition import SPLITS, fold_rows, spread
from mirante.errors import DataError, ImageError
from mirante.images import Pixels
from mirante.rendering import Rendering
from mirante.resize import Fit
from mirante.task import Task, task_named

VAL_SHARE = 0.1


class SourceOptions(TypedDict, total=False):
    """How labelled images are read.

    labels        a table of path, label[, split][, group], on disk or inside the data
    label_column  the column of the table that holds the label or text (default: label, or another usual name)
    path_column   the column that holds the path of the image (default: path, or another usual name)
    group         the table's column that says which images belong together; a group is never split
    subgroup      the table's column by which figures are broken down (such as hospital or camera)
    classes       keep only these classes, in this order
    root          the folder that the table's paths start from (default: the table's own)
    interval      seconds between the frames of films; films beside images are left out unless it is given
    """

    labels: str | Path | None
    label_column: str | None
    path_column: str | None
    group: str | None
    subgroup: str | None
    classes: Sequence[str] | None
    root: str | Path | None
    interval: float | None


class DataOptions(SourceOptions, total=False):
    """Options for data: how it is read, and how it is divided.

    folds         divide all images, except test images given by the source, into this many folds, each tested once; 0 for none
    val_share     share of the training images kept for validation when the source gives none; 0 for none
    as_test_of    the classes of a model to be tested on this data: nothing is split, all images are test images (or those that
                  the source says are), and their labels must be among these classes
    window        for images whose numbers are not bytes: which becomes black and which white, such as "0-4095"; or "full range", or
                  "per image" (default: chosen from the training images; see mirante.rendering)
    page          which page or frame of each image counts, from 1 (default: the first, of a DICOM file the middle)
    task          what is asked of the images: classify; grade, classes with an order; tree, classes as paths such as animal/bird;
                  read, with the text of each from its file name or a table column; tag, with any number of labels for each
    ordered       for grades: all classes from the least to the most; the task is then grade, and need not be named
    length        for texts, the maximum number of characters, even if the longest one here has fewer
    lenient       for the data check: classes whose names differ only by case or spaces are merged, and if a class has too few
                  images to be split, all of them stay training images
    """

    folds: int
    val_share: float
    as_test_of: Sequence[str] | None
    window: str | None
    page: int | None
    task: str
    ordered: Sequence[str] | None
    length: int | None
    lenient: bool


_SHOWN = 24  # images, and classes, at most, that it shows in a notebook


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """N labelled images from one source.

    location  where they are, as the user wrote it
    classes   the names of the classes, in the order of the label numbers; for texts, the letters and last "" for no character
    paths     N paths, relative to the source, with forward slashes
    targets   (N, …) int64 class numbers, as the task makes them from labels: (N,) for classes, (N, characters) for texts; for
              several labels (N, labels), 1 yes, 0 no, -1 not known
    splits    (N,) 'train', 'val' or 'test'; with folds 'fold1', 'fold2' … and 'test' if the source gives it
    groups    N names that say which images belong together (such as a patient), or None
    subgroups  N values by which figures are broken down (such as a hospital), or None
    digests   N hex digests of the content
    sizes     (N, 2) height and width in pixels, as in the files
    channels  3 if any image has colour, else 1
    skipped   images left out because they cannot be read or are in no class folder
    notes     what you should know about this data, one sentence each
    task      what is asked of the images (mirante.task)
    output    the shape of what a network answers for one image
    split_by  'source' when the test images were given, 'content' when they were drawn by a hash, 'folds'
    options   the options given to `Dataset.open`, so that it can be opened again
    merged    pairs of class names that were merged, the kept name first
    source    where the bytes of the images come from
    rendering  how the numbers in the files become pixels
    window_because  why that window was chosen
    """

    location: str
    name: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    splits: NDArray[np.str_]
    groups: tuple[str, ...] | None
    subgroups: tuple[str, ...] | None
    digests: tuple[str, ...]
    sizes: NDArray[np.int64]
    channels: Literal[1, 3]
    skipped: tuple[Skipped, ...]
    notes: tuple[Note, ...]
    task: str
    output: tuple[int, ...]
    split_by: Literal["source", "content", "folds"]
    options: dict[str, Any]
    merged: tuple[tuple[str, str], ...]
    source: Source
    rendering: Rendering = field(default_factory=Rendering)
    window_because: str = ""

    @classmethod
    def open(cls, data: str | Path, **options: Unpack[DataOptions]) -> Dataset:
        """Read what is in `data` and split it; nothing is decoded yet.

        data     a folder, archive, table, .npz, URL of an object store, or name; see docs/data.md
        options  as in DataOptions

        Raises DataError when the source, its labels or its splits cannot be used as they are.
        """
        from mirante.data.opening import open_dataset

        return open_dataset(str(data), options)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Pixels, int | NDArray[np.int64]]:
        """Return an image at its own size, uint8 (H, W, C) with the data set's channels, and its target, for a torch DataLoader.

        Raises IndexError past the end, ImageError for an image that cannot be read.
        """
        from mirante.images import read_image

        if not -len(self) <= row < len(self):
            raise IndexError(f"{self.location}: image {row} of {len(self)}.")
        target = self.targets[row]
        pixels = read_image(self._entries()[self.paths[row]].content(), None, self.channels, rendering=self.rendering)
        return pixels, int(target) if target.ndim == 0 else target

    def _entries(self) -> dict[str, Entry]:
        known: dict[str, Entry] | None = self.__dict__.get("_known")
        if known is None:
            wanted = set(self.paths)
            found = (entry for entry in self.source.entries() if entry.path in wanted)
            known = {one.path: replace(one, payload=one.reread) if one.reread is not None else one for one in found}
            self.__dict__["_known"] = known  # a frozen dataclass freezes its fields, and this is not one
        return known

    def __repr__(self) -> str:
        return f"<Dataset {self.location}: {len(self):,} images of {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        """Return how it shows itself in a notebook: images of every class, and how many there are."""
        from mirante import notebook
        from mirante.locale import language

        say, names = language(None), self.names
        _, first = np.unique(np.array(names), return_index=True)
        some = [*np.sort(first).tolist(), *spread(np.arange(len(self)), _SHOWN).tolist()]
        shown = []
        for row in list(dict.fromkeys(some))[:_SHOWN]:
            try:
                shown.append((self[row][0], names[row]))
            except ImageError:
                continue
        title = say("Images: {count}", count=say.number(len(self)))
        counts = [[name, say.number(sum(splits.values()))] for name, splits in list(self.counts().items())[:_SHOWN]]
        return notebook.block(
            notebook.text(f"{self.location}: {title}", strong=True), notebook.grid(shown), notebook.table(counts)
        )

    @property
    def fingerprint(self) -> str:
        """A hex digest of every image's content, label and split."""
        digest = hashlib.sha256()
        for content, label, split in sorted(zip(self.digests, self.names, self.splits.tolist(), strict=True)):
            digest.update(f"{content} {label} {split}\n".encode())
        return digest.hexdigest()

    @property
    def asks(self) -> Task:
        return task_named(self.task)

    @property
    def names(self) -> list[str]:
        """The label of each image in words."""
        return self.asks.label_names(self.targets, self.classes)

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of the images of one split."""
        return np.flatnonzero(self.splits == split)

    @property
    def folds(self) -> tuple[str, ...]:
        """The names of the folds, in order; none without folds."""
        return tuple(f"fold{number + 1}" for number in range(self.options.get("folds", 0)))

    def known_as(self, classes: tuple[str, ...]) -> Dataset:
        """Return the data set for a model that learned further classes after these; unchanged for any other model.

        Of several labels, it is not known which images have the further ones.
        """
        if classes[: len(self.classes)] != self.classes:
            return self
        targets, more = self.targets, len(classes) - len(self.classes)
        if self.asks.several_labels:
            targets = np.pad(targets, ((0, 0), (0, more)), constant_values=-1)
        return replace(self, classes=classes, output=(*self.output[:-1], len(classes)), targets=targets)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class → split → number of images; for texts, letter → split → how often it occurs."""
        kinds = (*self.folds, *(["test"] if len(self.rows("test")) else [])) if self.folds else SPLITS
        return self.asks.counts(self.targets, self.classes, {split: self.rows(split) for split in kinds})

    def asking(self, fold: str) -> Dataset:
        """Return the data set in which one fold tests, the next one validates, and the others train; '' trains with all folds."""
        splits = np.where(self.splits == "test", "unasked", "train")
        if fold:
            number = self.folds.index(fold)
            splits[self.splits == fold] = "test"
            splits[self.splits == self.folds[(number + 1) % len(self.folds)]] = "val"
        return replace(self, splits=splits)

    def redrawn(self, seed: int) -> Dataset:
        """Return the data set divided into the same number of folds in another way."""
        given = [split if split == "test" else None for split in self.splits.tolist()]
        drawn = fold_rows(
            self.location, self.classes, self.targets, self.digests, self.groups, given, len(self.folds), seed
        )
        return replace(self, splits=drawn)

    def load(
        self, size: tuple[int, int], channels: Literal[1, 3], fit: Fit, rendering: Rendering | None = None
    ) -> tuple[Dataset, Pixels]:
        """Decode every image; return the data set without those that cannot be decoded, and the pixels (N, H, W, C).

        The pixels are a read-only memory-mapped array whose rows are the rows of the returned data set. A model has its own
        rendering; without one, the data set's counts.
        """
        return self.without(*self.decode(size, channels, fit, rendering))

    def decode(
        self, size: tuple[int, int], channels: Literal[1, 3], fit: Fit, rendering: Rendering | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, str]]:
        """Decode every image; return the pixels (N, H, W, C), mapped from the cache, and which could not be decoded and why."""
        from mirante.data.cache import decoded

        wanted = dict(zip(self.paths, self.digests, strict=True))
        return decoded(self.source, wanted, size, channels, fit, rendering or self.rendering)

    def without(self, pixels: Pixels, failed: dict[str, str]) -> tuple[Dataset, Pixels]:
        """Return the data set and its pixels without the images at these paths, which count as skipped, each with its reason."""
        if not failed:
            return self, pixels
        kept = [row for row, path in enumerate(self.paths) if path not in failed]
        smaller = self.leaving_out(failed)
        before = self.counts()
        for name, counts in smaller.counts().items():
            if not any(counts.values()) and any(before[name].values()):
                raise DataError(
                    f"{self.location}: no image of class {name!r} can be read; fix the files or leave the class out."
                )
        return smaller, pixels[kept]

    def leaving_out(self, reasons: dict[str, str]) -> Dataset:
        """Return the data set without the images at these paths, which count as skipped, each with its reason."""
        kept = [row for row, path in enumerate(self.paths) if path not in reasons]
        skipped = (*self.skipped, *(Skipped(path, why) for path, why in reasons.items()))
        return replace(self._only(kept), skipped=skipped)

    def only(self, paths: Sequence[str]) -> Dataset:
        """Return the data set with only the images at these paths, in this order.

        Raises DataError when one is missing or named twice.
        """
        row_of = {path: row for row, path in enumerate(self.paths)}
        if missing := [path for path in paths if path not in row_of]:
            raise DataError(f"{self.location}: {missing[0]} is no longer there.")
        if len(set(paths)) < len(paths):
            raise DataError(f"{self.location}: {next(path for path in paths if paths.count(path) > 1)} is named twice.")
        return self._only([row_of[path] for path in paths])

    def _only(self, rows: list[int]) -> Dataset:
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            targets=self.targets[rows],
            splits=self.splits[rows],
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            subgroups=None if self.subgroups is None else tuple(self.subgroups[row] for row in rows),
            digests=tuple(self.digests[row] for row in rows),
            sizes=self.sizes[rows],
        )
