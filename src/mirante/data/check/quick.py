"""The parts of the data check that are fast enough to run before every training, on already decoded pixels."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from mirante.data.check.copies import find_copies
from mirante.data.check.findings import shortcut_note
from mirante.data.check.look import NUMBERS, SIDE, Looks, grey_of, measure, small_copy
from mirante.data.check.shortcuts import find_shortcuts
from mirante.data.dataset import Dataset
from mirante.data.notes import Note
from mirante.images import Pixels

_MOST = 2000  # images looked at
_SHUFFLES = 40
_MOST_COMPARED = 3000  # up to this many images, all are compared with all: two or three seconds


def quick_notes(dataset: Dataset, pixels: Pixels) -> tuple[Note, ...]:
    """Return what you should know about the images before training on them.

    pixels  uint8 (N, H, W, C), the rows of the data set, as the network will see them
    """
    return *near_copy_notes(dataset, pixels), *shortcut_notes(dataset, pixels)


def near_copy_notes(dataset: Dataset, pixels: Pixels) -> tuple[Note, ...]:
    """Return a note on test images whose picture is also among the training images; only for small data sets."""
    if len(dataset) > _MOST_COMPARED:
        return ()
    small = np.stack([small_copy(grey_of(image)) for image in pixels])
    found = find_copies(small, dataset.sizes.min(axis=1), np.where(dataset.splits == "val", "train", dataset.splits))
    digests = np.array(dataset.digests)
    near = found.pairs[digests[found.pairs[:, 0]] != digests[found.pairs[:, 1]]]
    tested = {row for row in near.ravel().tolist() if dataset.splits[row] not in ("train", "val")}
    if not tested:
        return ()
    text = (
        "Test images whose picture is in another file (compressed, resized, cropped or mirrored) among the training "
        "images: {count}. Test figures are too optimistic; mirante data check lists them."
    )
    return (Note(text, {"count": len(tested)}),)


def shortcut_notes(dataset: Dataset, pixels: Pixels) -> tuple[Note, ...]:
    """Return a note for each property that gives a class away and that a network can see; grave if it cannot be the content."""
    rows = np.sort(np.random.default_rng(0).permutation(len(dataset))[:_MOST])
    small = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    numbers = np.full((len(rows), len(NUMBERS)), np.nan, np.float32)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NumPy lets the threads run at once
        for place, (copy, measured) in enumerate(pool.map(lambda row: measure(pixels[row]), rows.tolist())):
            small[place], numbers[place, NUMBERS.index("brightness") :] = copy, measured
    numbers[:, NUMBERS.index("height")], numbers[:, NUMBERS.index("width")] = dataset.sizes[rows].T
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    looks = Looks(small, numbers, ("",) * len(rows), {})
    paths = [dataset.paths[row] for row in rows]
    found = find_shortcuts(looks, paths, dataset.targets[rows], dataset.classes, groups, _SHUFFLES)
    told = [one for one in found if one.strong and one.name != "file name"]
    return tuple(replace(shortcut_note(one), grave=not one.may_be_content) for one in told)
