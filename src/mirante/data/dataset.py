"""A set of labelled images, split and ready: what every verb that reads data opens.

Holds no pixels; `Dataset.load` decodes them (once, see cache.py) to one array.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import choose_classes, require_enough
from mirante.data.entries import Skipped, Source
from mirante.data.labels import label_by_folder, label_by_table
from mirante.data.notes import Note, find_notes
from mirante.data.scan import scan
from mirante.data.sources import open_source
from mirante.data.splits import assign_folds, assign_splits
from mirante.data.tables import TABLE_SUFFIXES, Columns, Table, read_table, read_table_file
from mirante.data.texts import MAX_CHARACTERS, alphabet_of, as_texts, decode, encode, label_by_name
from mirante.errors import DataError
from mirante.images import Fit, Pixels

SPLITS = ("train", "val", "test")
VAL_SHARE = 0.1

Task = Literal["class", "code"]
"""What is answered of an image: its class, or the text that it shows."""

MIN_FOLDS, MAX_FOLDS = 3, 20


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """N labelled images of one source.

    location      where they are, as the person said it
    classes   the names of the classes, in the order of the label numbers; of a code the letters, and last "", no character
    paths     N paths, relative to the source, with forward slashes
    labels    (N,) int64 class numbers; of a code (N, characters), one a character (mirante.data.texts)
    splits    (N,) 'train', 'val' or 'test'; with folds 'fold1', 'fold2' … and the 'test' that the source gives
    groups    N names of what belongs together (a patient), or None
    subgroups  N values of what figures are told apart by (a hospital), or None
    digests   N hex digests of the content
    sizes     (N, 2) height and width in pixels as the files have them
    channels  3 if any image has colour, else 1
    skipped   images left out because they cannot be read or lie outside the classes
    notes     what a careful person should know of these data, one sentence each
    task      class or code
    split_by  'source' when the test images were given, 'content' when they were drawn by a hash, 'folds'
    options   the arguments of `Dataset.open` that were not left out, so that it can be opened again
    merged    pairs of class names that were made one, the kept name first
    source    where the bytes of the images come from
    """

    location: str
    name: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    groups: tuple[str, ...] | None
    subgroups: tuple[str, ...] | None
    digests: tuple[str, ...]
    sizes: NDArray[np.int64]
    channels: Literal[1, 3]
    skipped: tuple[Skipped, ...]
    notes: tuple[Note, ...]
    task: Task
    split_by: Literal["source", "content", "folds"]
    options: dict[str, Any]
    merged: tuple[tuple[str, str], ...]
    source: Source

    @classmethod
    def open(
        cls,
        data: str | Path,
        *,
        labels: str | Path | None = None,
        group: str | None = None,
        by: str | None = None,
        classes: Sequence[str] | None = None,
        root: str | Path | None = None,
        folds: int = 0,
        val_share: float = VAL_SHARE,
        as_test_of: Sequence[str] | None = None,
        lenient: bool = False,
        task: Task = "class",
        text: str | None = None,
        length: int | None = None,
    ) -> Dataset:
        """Read what there is in `data` and split it; decodes nothing yet.

        data       a folder, archive, table, .npz or name; see docs/data.md
        labels     a table of path, label[, split][, group], on disk or inside `data`
        group      the table's column that says which images belong together; a split never cuts a group
        by         the table's column by which figures are told apart (a hospital, a camera)
        classes    keep only these classes, in this order
        root       the folder that the table's paths start from (default: the table's own)
        folds      divide all but the test images that the source gives into so many folds, each of which tests once; 0 for none
        val_share  share of the training images kept for validation when the source gives none; 0 for none
        as_test_of  the classes of a model to be tested on these data: nothing is split, all images are test images (or
                   those that the source calls so), and their labels must be among these classes
        task       code reads the text of each image: from its file's name, or from the table's column
        text       the column of the table that holds the label or text (default: label, or text)
        length     characters of the longest text, also where the longest one here has fewer
        lenient    for the data check: classes whose names differ only by case or spaces are made one, and where a class has
                   too few images to be split, all of them stay training images

        Raises DataError when the source, its labels or its splits cannot be used as they are.
        """
        location = str(data)
        place = None if root is None else Path(root).expanduser()
        if task == "code" and (folds or classes):
            raise DataError(
                f"--task code: {'--folds divides' if folds else '--classes chooses'} classes, and a code has none."
            )
        if length is not None and not 1 <= length <= MAX_CHARACTERS:
            raise DataError(f"--length {length}: it can be 1 to {MAX_CHARACTERS}.")
        columns = Columns(group, by, text)
        source, table = open_source(location, place, columns)
        if labels is not None:
            table = _find_table(str(labels), source, location, columns, place)
        elif table is None and columns != Columns():
            option = f"--group {group}" if group is not None else f"--by {by}" if by is not None else f"--text {text}"
            raise DataError(f"{location}: {option} needs a table that has this column; --labels FILE.csv names it.")
        scanned = scan(source)
        if not scanned:
            raise DataError(f"{location}: no image in it.")
        by_place = label_by_name if task == "code" else label_by_folder
        rows, skipped = label_by_table(location, scanned, table) if table else by_place(location, scanned)
        merged: tuple[tuple[str, str], ...] = ()
        if task == "code":
            rows = as_texts(location, rows, length)
            names = tuple(as_test_of or alphabet_of(location, [row.label for row in rows]))
        else:
            rows, names, merged = choose_classes(location, rows, classes, source.classes, as_test_of, lenient)
        given = {"labels": labels, "group": group, "by": by, "root": root, "text": text}
        options: dict[str, Any] = {name: str(value) for name, value in given.items() if value is not None}
        if classes is not None:
            options["classes"] = list(classes)
        if folds:
            options["folds"] = folds
        if task == "code":
            options |= {"task": task} | ({} if length is None else {"length": length})
            texts = [row.label for row in rows]
            numbers = encode(location, texts, names, length or max(map(len, texts)))
            alike = np.unique(np.array(texts), return_inverse=True)[1].astype(np.int64)  # by whole texts
        else:
            number = {name: index for index, name in enumerate(names)}
            numbers = alike = np.array([number[row.label] for row in rows], dtype=np.int64)
        digests = tuple(row.image.digest for row in rows)
        groups: tuple[str, ...] | None = None
        if any(row.group is not None for row in rows):
            groups = tuple(row.group or row.image.path for row in rows)
        elif task == "code" and len(np.unique(alike)) < len(rows):
            groups = tuple(texts)  # what was read once may be known by heart
        has_test = any(row.split == "test" for row in rows)
        if folds and as_test_of is None:
            splits = _fold(location, names, numbers, digests, groups, [row.split for row in rows], folds, 0)
        elif as_test_of is None:
            try:
                kinds = (names, numbers) if task == "class" else (("",), np.zeros(len(rows), np.int64))
                splits = _split(location, *kinds, digests, groups, [row.split for row in rows], val_share)
            except DataError:
                if not lenient:
                    raise
                splits = np.array([row.split or "train" for row in rows], dtype="<U5")
        else:
            splits = np.array([row.split or "train" if has_test else "test" for row in rows])
        return cls(
            location=location,
            name=source.name,
            classes=names,
            paths=tuple(row.image.path for row in rows),
            labels=numbers,
            splits=splits,
            groups=groups,
            subgroups=None if by is None else tuple((row.part or "").strip() or "–" for row in rows),
            digests=digests,
            sizes=np.array([(row.image.height, row.image.width) for row in rows], dtype=np.int64),
            channels=3 if any(row.image.channels == 3 for row in rows) else 1,
            skipped=tuple(skipped),
            notes=find_notes(names if task == "class" else (), alike, splits, digests, groups),
            task=task,
            split_by="folds" if folds else "source" if has_test else "content",
            options=options,
            merged=merged,
            source=source,
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"<Dataset {self.location}: {len(self):,} images of {len(self.classes)} classes>"

    @property
    def fingerprint(self) -> str:
        """A hex digest of every image's content, label and split."""
        digest = hashlib.sha256()
        for content, label, split in sorted(zip(self.digests, self.names, self.splits.tolist(), strict=True)):
            digest.update(f"{content} {label} {split}\n".encode())
        return digest.hexdigest()

    @property
    def names(self) -> list[str]:
        """The label of each image in words: the name of its class, or its text."""
        if self.task == "code":
            return decode(self.labels, self.classes)
        return [self.classes[label] for label in self.labels.tolist()]

    @property
    def characters(self) -> int:
        """Of the longest text, where texts are read; else 0."""
        return self.labels.shape[1] if self.task == "code" else 0

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of the images of one split."""
        return np.flatnonzero(self.splits == split)

    @property
    def folds(self) -> tuple[str, ...]:
        """The names of the folds, in order; none without folds."""
        return tuple(f"fold{number + 1}" for number in range(self.options.get("folds", 0)))

    def known_as(self, classes: tuple[str, ...]) -> Dataset:
        """Return the data set for a model that learned more classes after its own; unchanged for any other model."""
        return replace(self, classes=classes) if classes[: len(self.classes)] == self.classes else self

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class → split → number of images; of a code, letter → split → how often it stands there."""
        kinds = (*self.folds, *(["test"] if len(self.rows("test")) else [])) if self.folds else SPLITS
        if self.task == "code":
            inside = {
                split: np.bincount(self.labels[self.rows(split)].ravel(), minlength=len(self.classes))
                for split in kinds
            }
            letters = enumerate(self.classes[:-1])
            return {name: {split: int(inside[split][number]) for split in kinds} for number, name in letters}
        return {
            name: {split: int(((self.labels == number) & (self.splits == split)).sum()) for split in kinds}
            for number, name in enumerate(self.classes)
        }

    def asking(self, fold: str) -> Dataset:
        """Return the data set in which one fold tests, the next one validates, and the others train; '' trains with all folds."""
        splits = np.where(self.splits == "test", "unasked", "train")
        if fold:
            number = self.folds.index(fold)
            splits[self.splits == fold] = "test"
            splits[self.splits == self.folds[(number + 1) % len(self.folds)]] = "val"
        return replace(self, splits=splits)

    def redrawn(self, seed: int) -> Dataset:
        """Return the data set divided into as many folds in another way."""
        given = [split if split == "test" else None for split in self.splits.tolist()]
        drawn = _fold(self.location, self.classes, self.labels, self.digests, self.groups, given, len(self.folds), seed)
        return replace(self, splits=drawn)

    def load(self, size: tuple[int, int], channels: Literal[1, 3], fit: Fit) -> tuple[Dataset, Pixels]:
        """Decode every image; return the data set without those that cannot be, and the pixels (N, H, W, C).

        The pixels are a read-only memory-mapped array whose rows are the rows of the returned data set.
        """
        return self.without(*self.decode(size, channels, fit))

    def decode(
        self, size: tuple[int, int], channels: Literal[1, 3], fit: Fit
    ) -> tuple[NDArray[np.uint8], dict[str, str]]:
        """Decode every image; return the pixels (N, H, W, C), mapped from the cache, and which could not be, and why."""
        from mirante.data.cache import decoded

        return decoded(self.source, dict(zip(self.paths, self.digests, strict=True)), size, channels, fit)

    def without(self, pixels: Pixels, failed: dict[str, str]) -> tuple[Dataset, Pixels]:
        """Return the data set and its pixels without the images of these paths; each with its reason they count as skipped."""
        if not failed:
            return self, pixels
        kept = [row for row, path in enumerate(self.paths) if path not in failed]
        skipped = (*self.skipped, *(Skipped(path, why) for path, why in failed.items()))
        return replace(self._only(kept), skipped=skipped), pixels[kept]

    def _only(self, rows: list[int]) -> Dataset:
        smaller = replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            labels=self.labels[rows],
            splits=self.splits[rows],
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            subgroups=None if self.subgroups is None else tuple(self.subgroups[row] for row in rows),
            digests=tuple(self.digests[row] for row in rows),
            sizes=self.sizes[rows],
        )
        before = self.counts()
        for name, counts in smaller.counts().items():
            if not any(counts.values()) and any(before[name].values()):
                raise DataError(
                    f"{self.location}: no image of class {name!r} can be read; mend the files or leave it out."
                )
        return smaller


def _find_table(name: str, source: Source, location: str, columns: Columns, root: Path | None) -> Table:
    """Find the table of labels as a file, beside the data or inside it.

    Its paths start from where it lies, or from the data themselves when it lies beside them.
    """
    if not name.lower().endswith(TABLE_SUFFIXES):
        raise DataError(f"{name}: --labels takes a table, .csv, .tsv or .parquet.")
    data = Path(location).expanduser()
    for path in (Path(name).expanduser(), data.parent / name):
        if path.is_file():
            table = read_table_file(path, columns)
            return _within(table, data, root or path.parent) if data.is_dir() else table
    found = source.find(name)
    if found is None:
        raise DataError(f"{name}: no such table here, beside {location} or inside it (--labels).")
    inside, content = found
    folder = inside.rpartition("/")[0]
    table = read_table(inside, content, columns)
    if not folder:
        return table
    return replace(table, rows=tuple(replace(row, path=f"{folder}/{row.path}") for row in table.rows))


def _within(table: Table, data: Path, base: Path) -> Table:
    """Return the table with those paths that lead from `base` into the folder `data` made relative to it."""
    rows = []
    for row in table.rows:
        path = Path(os.path.relpath(base / row.path, data)).as_posix()
        rows.append(row if path.startswith("../") else replace(row, path=path))
    return replace(table, rows=tuple(rows))


def _split(
    location: str,
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: list[str | None],
    val_share: float,
) -> NDArray[np.str_]:
    require_enough(location, names, labels, groups or digests, given, val_share)
    splits = assign_splits(labels, digests, groups, given, val_share)
    for number, name in enumerate(names):
        for split in SPLITS:
            if (split != "val" or val_share > 0) and not (splits[labels == number] == split).any():
                raise DataError(
                    f"{location}: class {name!r} has no {split} image; add some, give it more groups, or leave the class out with "
                    "--classes."
                )
    return splits


def _fold(
    location: str,
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: Sequence[str | None],
    folds: int,
    seed: int,
) -> NDArray[np.str_]:
    if not MIN_FOLDS <= folds <= MAX_FOLDS:
        raise DataError(f"--folds {folds}: it can be {MIN_FOLDS} to {MAX_FOLDS}.")
    splits = np.array([split or "" for split in given], dtype="<U7")
    free = np.flatnonzero(splits != "test")
    numbers = assign_folds(
        labels[free],
        [digests[row] for row in free.tolist()],
        groups and [groups[row] for row in free.tolist()],
        folds,
        seed,
    )
    splits[free] = [f"fold{number + 1}" for number in numbers]
    for number, name in enumerate(names):
        have = len(set(numbers[labels[free] == number].tolist()))
        if have < folds:
            raise DataError(
                f"{location}: class {name!r} reaches only {have} of the {folds} folds: it has too few different images (or groups). "
                "Ask for fewer folds, add images, or leave the class out with --classes."
            )
    return splits
