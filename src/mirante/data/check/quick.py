"""What of the data check is quick enough to be run before every training: shortcuts, on pixels that are decoded already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mirante.data.check.findings import shortcut_note
from mirante.data.check.look import NUMBERS, SIDE, Looks, measure
from mirante.data.check.shortcuts import find_shortcuts
from mirante.data.dataset import Dataset
from mirante.data.notes import Note
from mirante.images import Pixels

_MOST = 2000  # images that are looked at
_SHUFFLES = 40


def shortcut_notes(dataset: Dataset, pixels: Pixels) -> tuple[Note, ...]:
    """Return a grave note for each property that gives a class away and that a network can see.

    pixels  uint8 (N, H, W, C), the rows of the data set, as the network will see them
    """
    rows = np.sort(np.random.default_rng(0).permutation(len(dataset))[:_MOST])
    small = np.zeros((len(rows), SIDE, SIDE), np.uint8)
    numbers = np.full((len(rows), len(NUMBERS)), np.nan, np.float32)
    for place, row in enumerate(rows.tolist()):
        small[place], measured = measure(pixels[row])
        numbers[place, NUMBERS.index("brightness") :] = measured
    numbers[:, NUMBERS.index("height")], numbers[:, NUMBERS.index("width")] = dataset.sizes[rows].T
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    looks = Looks(small, numbers, ("",) * len(rows), {})
    paths = [dataset.paths[row] for row in rows]
    found = find_shortcuts(looks, paths, dataset.labels[rows], dataset.classes, groups, _SHUFFLES)
    return tuple(replace(shortcut_note(one), grave=True) for one in found if one.strong and one.name != "file name")
