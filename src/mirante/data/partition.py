"""Splits and folds fit for training and testing: every class is in each of them, or an error names the class that is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import require_enough
from mirante.data.splits import assign_folds, assign_splits
from mirante.errors import DataError

SPLITS = ("train", "val", "test")
MIN_FOLDS, MAX_FOLDS = 3, 20


def split_rows(
    location: str,
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: list[str | None],
    val_share: float,
) -> NDArray[np.str_]:
    """Return 'train', 'val' or 'test' for each of N images; each split must have images of all `names` in labels (N,).

    Of several labels an image, labels (N, names), each is spread evenly, and may be too rare for a split.

    Raises DataError when one of them is only in some splits.
    """
    if labels.ndim == 2:
        return assign_splits(labels, digests, groups, given, val_share)
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


def fold_rows(
    location: str,
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: Sequence[str | None],
    folds: int,
    seed: int,
) -> NDArray[np.str_]:
    """Return 'fold1', 'fold2' … for each of N images, and 'test' for those that the source sets aside.

    Raises DataError when a class is only in some folds.
    """
    if not MIN_FOLDS <= folds <= MAX_FOLDS:
        raise DataError(f"--folds {folds}: must be from {MIN_FOLDS} to {MAX_FOLDS}.")
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
    for number, name in enumerate(names if labels.ndim == 1 else ()):
        have = len(set(numbers[labels[free] == number].tolist()))
        if have < folds:
            raise DataError(
                f"{location}: class {name!r} reaches only {have} of the {folds} folds: it has too few different images (or groups). "
                "Ask for fewer folds, add images, or leave the class out with --classes."
            )
    return splits


def spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` of the rows, evenly spaced, or all."""
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(int)]
    return chosen
