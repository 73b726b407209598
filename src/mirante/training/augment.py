"""Augmentation of a whole batch at once, on uint8 pixels (N, H, W, C), before they enter the network."""

from __future__ import annotations

import numpy as np

from mirante.images import Pixels


def augment(images: Pixels, flip: bool, shift: int, random: np.random.Generator) -> Pixels:
    """Return images mirrored (half of them, if `flip`) and moved by up to `shift` pixels each way, borders reflected."""
    count, height, width, _ = images.shape
    if flip:
        mirrored = random.random((count, 1, 1, 1)) < 0.5
        images = np.where(mirrored, images[:, :, ::-1], images)
    if shift:
        reach = min(shift, height - 1, width - 1)
        padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
        rows = random.integers(0, 2 * reach + 1, count)[:, None] + np.arange(height)
        columns = random.integers(0, 2 * reach + 1, count)[:, None] + np.arange(width)
        images = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return images
