"""What each word of augmentation does to a batch uint8 (N, H, W, C), where it lies: the CPU or a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Draw = NDArray[np.float64]
"""How strongly each image of a batch is changed, (N,): 0 not at all, -1 or 1 by the whole amount."""

_LUMA = (0.299, 0.587, 0.114)


def moved(
    pixels: Pixels | Tensor,
    rows: NDArray[np.int64],
    which: NDArray[np.int64],
    mirrored: NDArray[np.bool_],
    shift: int,
    random: np.random.Generator,
) -> Tensor:
    """Return images mirrored and shifted in one indexing step, where they lie."""
    import torch

    total, rows, mirrored = len(rows), rows[which], mirrored[which]
    chosen = torch.from_numpy(pixels[rows]) if isinstance(pixels, np.ndarray) else pixels[torch.from_numpy(rows)]
    if not shift and not mirrored.any():
        return chosen
    count, height, width, channels = chosen.shape
    down = np.broadcast_to(np.arange(height), (count, height))
    right = np.broadcast_to(np.arange(width), (count, width))
    if shift:
        reach = min(shift, height - 1, width - 1)
        down = _reflect(down + random.integers(-reach, reach + 1, (total, 1))[which], height)
        right = _reflect(right + random.integers(-reach, reach + 1, (total, 1))[which], width)
    right = np.where(mirrored[:, None], width - 1 - right, right)
    begins = (np.arange(count)[:, None] * height + down) * width  # of each row of pixels, in one list of them all
    first, second = (torch.from_numpy(one).to(chosen.device, non_blocking=True) for one in (begins, right))
    where = (first[:, :, None] + second[:, None, :]).flatten()
    return chosen.view(-1, channels).index_select(0, where).view(chosen.shape)


def _reflect(index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return positions outside 0 to length - 1 mirrored at the first and the last one."""
    index = np.abs(index)
    return length - 1 - np.abs(length - 1 - index)


def turned(batch: Tensor, draw: Draw, name: str) -> Tensor:
    """Return images turned by the drawn number of right angles, or turned upside down; others than squares turn by 180 degrees."""
    found, square = batch.clone(), batch.shape[1] == batch.shape[2]
    for number in (1, 2, 3):
        chosen = np.flatnonzero(draw == number)
        if name == "upside-down":
            found[chosen] = batch[chosen].flip(1)
        elif square:
            found[chosen] = batch[chosen].rot90(number, (1, 2))
        elif number == 2:
            found[chosen] = batch[chosen].flip(1, 2)
    return found


def warped(batch: Tensor, warps: list[tuple[str, float, Draw]], corners: NDArray[np.float64]) -> Tensor:
    """Return the images with everything that moves pixels done at once; what comes from outside is reflected."""
    import torch
    import torch.nn.functional as F

    count, height, width, _ = batch.shape
    places = np.broadcast_to(np.eye(3), (count, 3, 3))
    for name, amount, draw in warps:
        places = places @ _place(name, amount, draw, width / height, corners)
    down, right = np.meshgrid(
        (2 * np.arange(height) + 1) / height - 1, (2 * np.arange(width) + 1) / width - 1, indexing="ij"
    )
    grid = np.stack([right, down, np.ones_like(down)], -1).astype(np.float32)
    points = torch.from_numpy(grid).to(batch.device).view(1, -1, 3) @ torch.from_numpy(
        np.ascontiguousarray(places.transpose(0, 2, 1), np.float32)
    ).to(batch.device)
    points = (points[..., :2] / points[..., 2:].clamp(min=0.1)).view(count, height, width, 2)
    seen = batch.permute(0, 3, 1, 2).float()
    warped = F.grid_sample(seen, points, "bilinear", "reflection", align_corners=False)
    return warped.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _place(name: str, amount: float, draw: Draw, aspect: float, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each image, the matrix (N, 3, 3) from places seen, -1 to 1 across and down, to where they come from."""
    found = np.broadcast_to(np.eye(3), (len(draw), 3, 3)).copy()
    if name == "rotate":
        angle = np.deg2rad(amount) * draw
        found[:, 0, 0] = found[:, 1, 1] = np.cos(angle)
        found[:, 0, 1], found[:, 1, 0] = -np.sin(angle) / aspect, np.sin(angle) * aspect
    elif name == "zoom":
        found[:, 0, 0] = found[:, 1, 1] = (1 + amount) ** -draw
    elif name == "crop":
        area, wide = 1 - (1 - amount) * draw, (4 / 3) ** (draw * (2 * corners[:, 0] - 1))
        down = np.clip(np.sqrt(area / wide), area, 1)
        across = area / down
        found[:, 0, 0], found[:, 1, 1] = across, down
        found[:, 0, 2], found[:, 1, 2] = (1 - across) * (2 * corners[:, 1] - 1), (1 - down) * (2 * corners[:, 2] - 1)
    else:  # perspective: the lower row makes lines that were parallel meet
        found[:, 2, :2] = amount * draw[:, None] * (2 * corners[:, 3:5] - 1)
    return found


def coloured(batch: Tensor, colours: list[tuple[str, float, Draw]]) -> Tensor:
    """Return the images with one matrix and one shift of colours each."""
    import torch

    count, channels = len(batch), batch.shape[3]
    matrix, shift = np.broadcast_to(np.eye(channels), (count, channels, channels)).copy(), np.zeros((count, channels))
    luma = np.broadcast_to(np.array(_LUMA), (3, 3))
    for name, amount, draw in colours:
        if name == "brightness":
            shift += 255 * amount * draw[:, None]
            continue
        if name == "contrast":
            mean = batch[:, ::2, ::2].float().mean((1, 2)).cpu().numpy().astype(float)
            scale = 1 + amount * draw[:, None, None]
            level = np.einsum("nij,nj->ni", matrix, mean).mean(1)[:, None] + shift.mean(1)[:, None]
            matrix, shift = scale * matrix, scale[:, 0] * shift + (1 - scale[:, 0]) * level
            continue
        if channels == 1:
            continue  # grey has neither hue nor saturation
        if name == "hue":
            angle = 2 * np.pi * amount * draw[:, None, None]
            across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
            own = np.cos(angle) * np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) / 3
        else:
            share = draw if name == "grey" else -amount * draw
            own = (1 - share)[:, None, None] * np.eye(3) + share[:, None, None] * luma
        matrix, shift = own @ matrix, np.einsum("nij,nj->ni", own, shift)
    turning, moving = (
        torch.from_numpy(np.ascontiguousarray(one, np.float32)).to(batch.device)
        for one in (matrix.transpose(0, 2, 1), shift[:, None])
    )
    found = torch.baddbmm(moving, batch.view(count, -1, channels).float(), turning)
    return found.round_().clamp_(0, 255).to(torch.uint8).view(batch.shape)


def _blurred(
    batch: Tensor, amount: float, draw: Draw, random: np.random.Generator, which: NDArray[np.int64], total: int
) -> Tensor:
    import torch
    import torch.nn.functional as F

    count, height, width, channels = batch.shape
    reach = min(max(1, math.ceil(2 * amount)), height - 1, width - 1)
    if reach < 1:
        return batch
    steps = np.arange(-reach, reach + 1)
    kernels = np.exp(-0.5 * (steps / np.maximum(amount * draw, 1e-3)[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdims=True)).astype(np.float32).repeat(channels, axis=0)
    line = torch.from_numpy(kernels).to(batch.device)[:, None, None]  # (N · C, 1, 1, 2 · reach + 1)
    maps = batch.permute(0, 3, 1, 2).float().reshape(1, count * channels, height, width)
    maps = F.pad(maps, (reach, reach, reach, reach), "reflect")
    maps = F.conv2d(F.conv2d(maps, line, groups=count * channels), line.transpose(2, 3), groups=count * channels)
    return maps.round().to(torch.uint8).view(count, channels, height, width).permute(0, 2, 3, 1).contiguous()


def _noisy(
    batch: Tensor, amount: float, draw: Draw, random: np.random.Generator, which: NDArray[np.int64], total: int
) -> Tensor:
    import torch

    one, other = (
        np.frombuffer(random.bytes(total * batch[0].numel()), np.uint8).reshape(total, *batch.shape[1:]) for _ in "ab"
    )
    # the sum of two even draws: mean 255, standard deviation 104.5
    strength = torch.from_numpy((amount * draw / 104.5).astype(np.float32)).to(batch.device).view(-1, 1, 1, 1)
    drawn = torch.from_numpy(one[which].astype(np.int16) + other[which] - 255).to(batch.device)
    return (batch + strength * drawn).round().clamp(0, 255).to(torch.uint8)


def _compressed(
    batch: Tensor, amount: float, draw: Draw, random: np.random.Generator, which: NDArray[np.int64], total: int
) -> Tensor:
    import simplejpeg
    import torch

    images = batch.cpu().numpy().copy()
    space = "GRAY" if images.shape[3] == 1 else "RGB"
    for place in np.flatnonzero(draw):
        quality = round(100 - draw[place] * (100 - amount))
        content = simplejpeg.encode_jpeg(images[place], quality, space, "420" if space == "RGB" else "Gray")
        images[place] = simplejpeg.decode_jpeg(content, space)
    return torch.from_numpy(images).to(batch.device)


def _erased(
    batch: Tensor, amount: float, draw: Draw, random: np.random.Generator, which: NDArray[np.int64], total: int
) -> Tensor:
    import torch

    places = random.random((total, 3))[which]
    inside = boxes(batch, amount * draw, places)
    level = batch[:, ::2, ::2].float().mean((1, 2), keepdim=True).round().to(torch.uint8)
    return torch.where(inside, level, batch)


def boxes(batch: Tensor, areas: NDArray[np.float64], places: NDArray[np.float64]) -> Tensor:
    """Return which pixels lie in a box of this share of each image, (N, H, W, 1); `places` (N, 3): shape, across, down."""
    import torch

    height, width = batch.shape[1:3]
    wide = 2 ** (2 * places[:, 0] - 1)
    down_side = np.clip(np.sqrt(areas / wide), areas, 1)
    sides = areas / np.maximum(down_side, 1e-9), down_side
    marks = []
    for length, side, place in ((width, sides[0], places[:, 1]), (height, sides[1], places[:, 2])):
        begins = place * (1 - side) * length
        steps = np.arange(length) + 0.5
        marks.append((steps >= begins[:, None]) & (steps < (begins + side * length)[:, None]))
    inside = marks[1][:, :, None, None] & marks[0][:, None, :, None]
    return torch.from_numpy(inside).to(batch.device)


PIXELS: dict[str, Callable[..., Tensor]] = {
    "blur": _blurred,
    "noise": _noisy,
    "jpeg": _compressed,
    "erase": _erased,
}
