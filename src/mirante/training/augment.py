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
from mirante.training.transforms import PIXELS, Draw, boxes, coloured, moved, turned, warped

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["exact", "warp", "colour", "pixels", "mix", "any"]


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
    "perspective": Transform("warp", 0.1, (0, 0.2), "share of the side that corners move, about", "cameras look from the side"),
    "brightness": Transform("colour", 0.2, (0, 1), "share of white, darker or lighter", "light changes"),
    "contrast": Transform("colour", 0.3, (0, 0.95), "share, flatter or stronger", "haze and exposure differ"),
    "saturation": Transform("colour", 0.4, (0, 1), "share, paler or stronger", "cameras differ"),
    "hue": Transform("colour", 0.03, (0, 0.5), "share of the circle of colours, each way", "the colour of light differs"),
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

ASKABLE = ("mirror", "upside-down", "turn")
"""What the training images can be asked about."""

_TRIVIAL = (
    ("rotate", 30.0), ("zoom", 0.3), ("perspective", 0.15), ("brightness", 0.4), ("contrast", 0.6), ("saturation", 0.8),
    ("hue", 0.1), ("blur", 1.5), ("noise", 16.0), ("erase", 0.3), ("jpeg", 20.0),
)  # fmt: skip
_ONE_WAY = ("crop", "blur", "noise")
_HALF = ("jpeg", "erase")


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
        word, *rest = item.split() or [""]
        name, asked = word.removesuffix("?"), word.endswith("?")
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
        if asked and name not in ASKABLE:
            raise RequestError(f"augment {item!r}: a question mark can follow {', '.join(ASKABLE)} only.")
        if name in steps:
            raise RequestError(f"augment {item!r}: {name} is listed twice.")
        if name == "shift" and amount % 1:
            raise RequestError(f"augment {item!r}: shift takes whole pixels.")
        steps[name] = Step(name, amount, asked)
    if {"mixup", "cutmix"} <= set(steps):
        raise RequestError("augment: mixup and cutmix both join images; list one of them.")
    return tuple(steps.values())


Drawn = tuple[str, float, Draw]
"""A word, its amount, and what is drawn for each image."""


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
        self._drawn = self._draws()

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
            return torch.where(boxes(found, np.full(len(which), 1 - share), places), other, found)
        return (share * found + (1 - share) * other).round().to(torch.uint8)

    def _changed(
        self, pixels: Pixels | Tensor, rows: NDArray[np.int64], which: NDArray[np.int64], device: object
    ) -> Tensor:
        shift = next((int(step.amount) for step in self.steps if step.name == "shift"), 0)
        batch = moved(
            pixels, rows, which, self.mirrored, shift, np.random.default_rng([self._seed[0], 1 << 32, self._seed[1]])
        )
        batch = batch.to(device, non_blocking=True)  # type: ignore[call-overload]
        draws = [(name, amount, draw[which]) for name, amount, draw in self._drawn]
        for name, _, draw in draws:
            if name in ("upside-down", "turn"):
                batch = turned(batch, draw, name)
        warps = [one for one in draws if VOCABULARY[one[0]].kind == "warp"]
        corners = self._random("corners").random((self.count, 8))[which]
        batch = _on_some(batch, warps, lambda some, own, at: warped(some, own, corners[at]))
        colours = [one for one in draws if VOCABULARY[one[0]].kind == "colour"]
        batch = _on_some(batch, colours, lambda some, own, at: coloured(some, own))
        for name, amount, draw in draws:
            if name in PIXELS:

                def change(some: Tensor, own: list[Drawn], at: NDArray[np.int64], name: str = name) -> Tensor:
                    return PIXELS[name](some, *own[0][1:], self._random(name), which[at], self.count)

                batch = _on_some(batch, [(name, amount, draw)], change)
        return batch

    def _draws(self) -> list[Drawn]:
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


def _on_some(
    batch: Tensor, draws: list[Drawn], change: Callable[[Tensor, list[Drawn], NDArray[np.int64]], Tensor]
) -> Tensor:
    """Return the batch with `change` made to the images that any of the draws concerns; a draw of 0 is no change."""
    at = np.flatnonzero(np.any([draw != 0 for _, _, draw in draws], axis=0)) if draws else np.zeros(0, np.int64)
    if not len(at):
        return batch
    found = change(batch[at], [(name, amount, draw[at]) for name, amount, draw in draws], at)
    if len(at) == len(batch):
        return found
    whole = batch.clone()
    whole[at] = found
    return whole


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
