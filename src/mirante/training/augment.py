"""A batch out of all the images: chosen, mirrored and shifted in one indexing step, on uint8 pixels, on the CPU or a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor


def take(
    pixels: Pixels | Tensor,
    rows: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
    shift: int,
    random: np.random.Generator,
    part: slice = slice(None),
) -> Tensor:
    """Return the images `rows` of all the pixels (N, H, W, C), uint8, where they lie; or those of a part of the rows.

    mirrored  (rows,) which of them are mirrored left to right
    shift     each is shifted by up to this many pixels each way, drawn from `random`, borders reflected
    """
    import torch

    total, (rows, mirrored) = len(rows), (rows[part], mirrored[part])
    chosen = torch.from_numpy(pixels[rows]) if isinstance(pixels, np.ndarray) else pixels[torch.from_numpy(rows)]
    if not shift and not mirrored.any():
        return chosen
    count, height, width, channels = chosen.shape
    down = np.broadcast_to(np.arange(height), (count, height))
    right = np.broadcast_to(np.arange(width), (count, width))
    if shift:
        reach = min(shift, height - 1, width - 1)
        down = _reflect(down + random.integers(-reach, reach + 1, (total, 1))[part], height)
        right = _reflect(right + random.integers(-reach, reach + 1, (total, 1))[part], width)
    right = np.where(mirrored[:, None], width - 1 - right, right)
    begins = (np.arange(count)[:, None] * height + down) * width  # of each row of pixels, in one list of them all
    first, second = (torch.from_numpy(one).to(chosen.device, non_blocking=True) for one in (begins, right))
    where = (first[:, :, None] + second[:, None, :]).flatten()
    return chosen.view(-1, channels).index_select(0, where).view(chosen.shape)


def _reflect(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return positions outside 0 to length - 1 mirrored at the first and the last one."""
    index = np.abs(index)
    return length - 1 - np.abs(length - 1 - index)
