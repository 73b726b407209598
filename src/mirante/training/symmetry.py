"""Whether mirrored, upside-down or turned images would still look like those of the data set: asked of the training images alone.

In a data set without left and right, the difference between an image and its mirror image points anywhere. Where it has them, it
points the same way for most images of a class: as for digits, letters, and the heart in chest X-rays. So each image is asked
whether its difference agrees with that of the other images of its class; chance is one half.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante.images import Pixels
from mirante.training.augment import read_augment
from mirante.training.recipe import Recipe

_SIDE = 16
_MOST = 2000  # training images that are asked
_LIMIT = 0.6  # share of images that agree, above which a change makes images unlike the others
_DOUBT = 0.5  # with few images the share is uncertain; most things have a top, but no left and right

_CHANGES: dict[str, Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]] = {
    "mirror": lambda small: [small[:, :, ::-1]],
    "upside-down": lambda small: [small[:, ::-1]],
    "turn": lambda small: [np.rot90(small, number, (1, 2)) for number in (1, 2)],
}


def agreement(pixels: Pixels, rows: NDArray[np.int64], targets: NDArray[np.int64], change: str) -> float:
    """Return the share of images, 0 to 1, in whose class a change shows in the same way; 0.5 is chance.

    pixels (N, H, W, C) uint8; rows of them that are asked, and their classes (rows,)
    """
    some = np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)
    small = np.stack([_small(pixels[row]) for row in rows[some]])
    classes = targets[some]
    found = []
    for changed in _CHANGES[change](small):
        differences = (small - changed).reshape(len(small), -1)
        differences /= np.linalg.norm(differences, axis=1, keepdims=True) + 1e-6
        sums = np.zeros((int(classes.max()) + 1, differences.shape[1]), np.float32)
        np.add.at(sums, classes, differences)
        scores = ((sums[classes] - differences) * differences).sum(axis=1)
        found.append(float(((scores > 1e-6) + 0.5 * (np.abs(scores) <= 1e-6)).mean()))
    return max(found)


def suited_to(recipe: Recipe, pixels: Pixels, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> Recipe:
    """Return the recipe with each of its questions (`mirror?`) answered by the training images, and say how."""
    kept, said = [], []
    for step in read_augment(recipe.augment):
        if not step.asked:
            kept.append(str(step))
            continue
        share, doubt = agreement(pixels, rows, targets, step.name), _DOUBT / len(rows) ** 0.5
        fits = share <= (_LIMIT + doubt if step.name == "mirror" else _LIMIT - doubt)
        kept += [step.name] if fits else []
        said.append(f"{step.name} {'yes' if fits else 'no'} ({share:.0%} of the images differ in the same way)")
    if not said:
        return recipe
    logging.getLogger("mirante").info(f"augmentation: {'; '.join(said)}; chance is 50%")
    mirrors = "mirror" in kept
    return recipe.changed(augment=tuple(kept), flip_tta=recipe.flip_tta and mirrors)


def _small(image: Pixels) -> NDArray[np.float32]:
    grey = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("L")
    return np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
