"""Augmentation: each time a training image is seen it is changed a little, so that the network learns what does not matter.

A recipe lists what is done, such as ("mirror?", "shift 2", "rotate 15"): a name of VOCABULARY, then how much if not the usual
amount; a question mark leaves it out where the training images show that it would make images unlike them (training/symmetry.py).
Everything works on a batch uint8 (N, H, W, C), on the CPU or a GPU. What is drawn depends on the seed and the step alone, and is
drawn for the whole batch: several processes see what one would. Positions are moved at once and interpolated once; colours are
one matrix per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.images import Pixels

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["exact", "warp", "colour", "pixels", "mix", "any"]
Draw = NDArray[np.float64]
"""How strongly each image of a batch is changed, (N,): 0 not at all, -1 or 1 by the whole amount."""


@dataclass(frozen=True)
class Transform:
    """One way to change an image.

    kind    exact moves pixels without changing them, warp interpolates, colour is a matrix, pixels is anything else, mix joins two
            images and their labels, any draws one of the others for each image
    amount  the usual one; None if there is nothing to choose
    limits  the least and the greatest amount
    meaning what the amount is
    reason  what a network learns from it
    """

    kind: Kind
    amount: float | None
    limits: tuple[float, float]
    meaning: str
    reason: str


VOCABULARY = {
    "mirror": Transform("exact", None, (0, 0), "left to right, half of the images", "things face either way"),
    "upside-down": Transform("exact", None, (0, 0), "top to bottom, half of the images", "seen from above, there is no top"),
    "turn": Transform("exact", None, (0, 0), "by 0, 90, 180 or 270 degrees", "microscopes and satellites have no top"),
    "shift": Transform("exact", 2, (0, 1024), "pixels each way, borders reflected", "things are not always in the middle"),
    "rotate": Transform("warp", 15, (0, 180), "degrees each way", "cameras are held at an angle"),
    "zoom": Transform("warp", 0.2, (0, 0.9), "share larger or smaller", "things are nearer or farther"),
    "crop": Transform("warp", 0.5, (0.05, 1), "least share of the area that is seen", "a part is enough to know the whole"),
    "perspective": Transform("warp", 0.1, (0, 0.4), "share of the side that corners move", "cameras look from the side"),
    "brightness": Transform("colour", 0.2, (0, 1), "share of white, darker or lighter", "light changes"),
    "contrast": Transform("colour", 0.3, (0, 0.95), "share, flatter or stronger", "so do haze and exposure"),
    "saturation": Transform("colour", 0.4, (0, 1), "share, paler or stronger", "so do cameras"),
    "hue": Transform("colour", 0.03, (0, 0.5), "share of the circle of colours, each way", "so does the colour of light"),
    "grey": Transform("colour", 0.1, (0, 1), "share of the images without colour", "shape matters, not colour alone"),
    "blur": Transform("pixels", 1, (0, 8), "pixels, standard deviation at most", "focus fails"),
    "noise": Transform("pixels", 8, (0, 128), "levels of 255, standard deviation at most", "it is dark"),
    "jpeg": Transform("pixels", 40, (5, 100), "lowest quality; half of the images", "files are compressed"),
    "erase": Transform("pixels", 0.2, (0, 0.9), "largest share of the area; half of the images", "things stand in front"),
    "mixup": Transform("mix", 0.2, (0.01, 8), "alpha of the beta distribution of the shares", "doubt between two classes"),
    "cutmix": Transform("mix", 1, (0.01, 8), "alpha of the beta distribution of the areas", "two things in one image"),
    "trivial": Transform("any", None, (0, 0), "one of eleven others for each image", "no search for amounts (TrivialAugment)"),
}  # fmt: skip
"""By name. mixup: Zhang et al. 2018; cutmix: Yun et al. 2019; erase: Zhong et al. 2020; trivial: Müller and Hutter 2021."""

_TRIVIAL = (
    ("rotate", 30.0), ("zoom", 0.3), ("perspective", 0.2), ("brightness", 0.4), ("contrast", 0.6), ("saturation", 0.8),
    ("hue", 0.1), ("blur", 1.5), ("noise", 16.0), ("erase", 0.3), ("jpeg", 20.0),
)  # fmt: skip
_ONE_WAY = ("crop", "blur", "noise")
_HALF = ("jpeg", "erase")
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Step:
    """One item of a recipe's list; `asked` if the training images decide about it."""

    name: str
    amount: float
    asked: bool = False

    @property
    def kind(self) -> Kind:
        return VOCABULARY[self.name].kind

    def __str__(self) -> str:
        usual = VOCABULARY[self.name].amount
        return f"{self.name}{'?' if self.asked else ''}" + ("" if usual is None else f" {self.amount:g}")


@lru_cache(maxsize=64)
def read_augment(items: tuple[str, ...]) -> tuple[Step, ...]:
    """Return the steps of a recipe's list. Raises RequestError when a name is unknown or an amount is not allowed.

    >>> [str(step) for step in read_augment(("mirror?", "shift 2", "rotate"))]
    ['mirror?', 'shift 2', 'rotate 15']
    """
    steps: dict[str, Step] = {}
    for item in items:
        word, *rest = item.split() if isinstance(item, str) else (str(item),)
        name = word.removesuffix("?")
        if name not in VOCABULARY:
            raise RequestError(f"augment {item!r}: unknown; the words are {', '.join(VOCABULARY)}.")
        usual, (low, high) = VOCABULARY[name].amount, VOCABULARY[name].limits
        try:
            amount = float(rest[0]) if rest else usual or 0.0
        except ValueError:
            amount = math.nan
        if len(rest) > (usual is not None) or not low <= amount <= high:
            wanted = "takes no number" if usual is None else f"takes one number from {low:g} to {high:g}"
            raise RequestError(f"augment {item!r}: {name} {wanted} ({VOCABULARY[name].meaning}).")
        if name in steps:
            raise RequestError(f"augment {item!r}: {name} is listed twice.")
        if name == "shift" and amount % 1:
            raise RequestError(f"augment {item!r}: shift takes whole pixels.")
        steps[name] = Step(name, amount, word.endswith("?"))
    if {"mixup", "cutmix"} <= set(steps):
        raise RequestError("augment: mixup and cutmix both join images; list one of them.")
    return tuple(steps.values())


@dataclass(frozen=True)
class Mix:
    """With what each image is joined: places in the batch (N,); and the share that its own label keeps, one for the batch."""

    other: NDArray[np.int64]
    share: float


class Augmentation:
    """What is drawn for one batch: the same whoever draws it, and whichever part of it is then made.

    mirrored  which of the images are mirrored (N,): each every other time it is seen (training/loop.py)
    """

    def __init__(self, steps: Sequence[Step], count: int, mirrored: NDArray[np.bool_], seed: int, step: int) -> None:
        self.steps, self.count, self.mirrored = steps, count, mirrored
        self._seed = seed, step
        self.mix = next((self._mix(one) for one in steps if one.kind == "mix"), None)

    def batch(
        self, pixels: Pixels | Tensor, rows: NDArray[np.int64], which: NDArray[np.int64], device: object
    ) -> Tensor:
        """Return those of the images `rows` of all the pixels (N, H, W, C) that are at the places `which`, changed, on the device."""
        import torch

        found = self._changed(pixels, rows, which, device)
        if self.mix is None:
            return found
        other = self._changed(pixels, rows, self.mix.other[which], device)
        share = self.mix.share
        if any(step.name == "cutmix" for step in self.steps):
            places = self._random("cut").random((self.count, 3))[which]
            return torch.where(_boxes(found, np.full(len(which), 1 - share), places), other, found)
        return (share * found + (1 - share) * other).round().to(torch.uint8)

    def _changed(
        self, pixels: Pixels | Tensor, rows: NDArray[np.int64], which: NDArray[np.int64], device: object
    ) -> Tensor:
        shift = next((int(step.amount) for step in self.steps if step.name == "shift"), 0)
        batch = _moved(
            pixels, rows, which, self.mirrored, shift, np.random.default_rng([self._seed[0], 1 << 32, self._seed[1]])
        )
        batch = batch.to(device, non_blocking=True)  # type: ignore[call-overload]
        draws = [(name, amount, draw[which]) for name, amount, draw in self._draws()]
        for name, _, draw in draws:
            if name in ("upside-down", "turn"):
                batch = _turned(batch, draw, name)
        warps = [one for one in draws if VOCABULARY[one[0]].kind == "warp"]
        if warps:
            batch = _warped(batch, warps, self._random("corners").random((self.count, 8))[which])
        colours = [one for one in draws if VOCABULARY[one[0]].kind == "colour"]
        if colours:
            batch = _coloured(batch, colours)
        for name, amount, draw in draws:
            if name in _PIXELS:
                batch = _PIXELS[name](batch, amount, draw, self._random(name), which, self.count)
        return batch

    def _draws(self) -> list[tuple[str, float, Draw]]:
        """Return the name, the amount and the draw of everything but mirror, shift and mixes."""
        found = []
        for step in self.steps:
            if step.kind == "any":
                random = self._random("trivial")
                chosen = random.integers(0, len(_TRIVIAL) + 1, self.count)  # the last one is no change
                for number, (name, amount) in enumerate(_TRIVIAL):
                    found.append((name, amount, _draw(name, amount, random, self.count) * (chosen == number)))
            elif step.name not in ("mirror", "shift") and step.kind != "mix":
                found.append(
                    (step.name, step.amount, _draw(step.name, step.amount, self._random(step.name), self.count))
                )
        return found

    def _mix(self, step: Step) -> Mix:
        random = self._random("mix")
        return Mix(random.permutation(self.count), float(random.beta(step.amount, step.amount)))

    def _random(self, word: str) -> np.random.Generator:
        return np.random.default_rng([self._seed[0], (1 << 35) + int.from_bytes(word.encode()[:7]), self._seed[1]])


def _draw(name: str, amount: float, random: np.random.Generator, count: int) -> Draw:
    if name == "grey":
        return (random.random(count) < amount).astype(float)
    if name == "turn":
        return random.integers(0, 4, count).astype(float)
    if name == "upside-down":
        return random.integers(0, 2, count).astype(float)
    if name in _HALF:
        return random.random(count) * random.integers(0, 2, count)
    return random.random(count) if name in _ONE_WAY else random.uniform(-1, 1, count)


def _moved(
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


def _turned(batch: Tensor, draw: Draw, name: str) -> Tensor:
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


def _warped(batch: Tensor, warps: list[tuple[str, float, Draw]], corners: NDArray[np.float64]) -> Tensor:
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
        across, down = np.minimum(1, np.sqrt(area * wide)), np.minimum(1, np.sqrt(area / wide))
        found[:, 0, 0], found[:, 1, 1] = across, down
        found[:, 0, 2], found[:, 1, 2] = (1 - across) * (2 * corners[:, 1] - 1), (1 - down) * (2 * corners[:, 2] - 1)
    else:  # perspective: the lower row makes lines that were parallel meet
        found[:, 2, :2] = amount * draw[:, None] * (2 * corners[:, 3:5] - 1)
    return found


def _coloured(batch: Tensor, colours: list[tuple[str, float, Draw]]) -> Tensor:
    """Return the images with one matrix and one shift of colours each."""
    import torch

    count, channels = len(batch), batch.shape[3]
    matrix, shift = np.broadcast_to(np.eye(channels), (count, channels, channels)).copy(), np.zeros((count, channels))
    mean = batch[:, ::2, ::2].float().mean((1, 2)).cpu().numpy().astype(float)
    luma = np.broadcast_to(np.array(_LUMA), (3, 3))
    for name, amount, draw in colours:
        if name == "brightness":
            shift += 255 * amount * draw[:, None]
            continue
        if name == "contrast":
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
    inside = _boxes(batch, amount * draw, places)
    level = batch[:, ::2, ::2].float().mean((1, 2), keepdim=True).round().to(torch.uint8)
    return torch.where(inside, level, batch)


def _boxes(batch: Tensor, areas: NDArray[np.float64], places: NDArray[np.float64]) -> Tensor:
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


_PIXELS: dict[str, Callable[..., Tensor]] = {
    "blur": _blurred,
    "noise": _noisy,
    "jpeg": _compressed,
    "erase": _erased,
}
