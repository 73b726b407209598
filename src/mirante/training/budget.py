"""Which of a recipe's sizes to train in the seconds available, judged by the speed of a few steps on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from mirante.errors import LayersError
from mirante.model.network import build_network
from mirante.model.notation import has_layers, multiply_adds, parse_layers
from mirante.training.criterion import Criterion
from mirante.training.engine import Images, make_optimiser, train_step
from mirante.training.process_group import current
from mirante.training.recipe import Recipe, Size
from mirante.training.schedule import Schedule

_STEPS = 6

Shape = tuple[int, int, int]


def fit_to_seconds(
    recipe: Recipe,
    shape_at: Callable[[int], Shape],
    images: int,
    output: tuple[int, ...],
    target: tuple[int, ...],
    criterion: Criterion,
    device: torch.device,
) -> tuple[Recipe, float]:
    """Return the recipe with the largest of its sizes that fits in its seconds, and images per second at that size.

    shape_at    tells the input's (height, width, channels) when its largest side may be this many pixels
    images    how many there are to train on
    output    the shape of the logits of one image
    target    the shape of its target

    A size fits when the training would show the network as many images as the size needs to be the best choice; the
    learning rate is the one for that many steps.
    """
    fitting = []
    for size in recipe.sizes or (Size(recipe.layers, recipe.max_size, 0),):
        shape = shape_at(size.max_size)
        try:
            cost = multiply_adds(parse_layers(size.layers, shape, output), shape) if has_layers(size.layers) else 1
        except LayersError:
            continue  # the image is too small for it
        fitting.append((size, shape, cost))
    if not fitting:
        return recipe, 0.0
    first, shape, cost = fitting[0]
    speed = images_a_second(replace(recipe, layers=first.layers), shape, images, output, target, criterion, device)
    speed *= current().world_size
    chosen = [(size, speed * cost / other) for size, _, other in fitting]
    enough = [(size, at) for size, at in chosen if at * recipe.seconds >= size.samples_seen] or chosen[:1]
    size, at = enough[-1]
    steps = max(1, round(at * recipe.seconds / images * Schedule(recipe, images).steps))
    return replace(recipe, layers=size.layers, max_size=size.max_size).for_steps(steps), at


def images_a_second(
    recipe: Recipe,
    shape: Shape,
    images: int,
    output: tuple[int, ...],
    target: tuple[int, ...],
    criterion: Criterion,
    device: torch.device,
) -> float:
    """Return how many images of this (height, width, channels) the recipe trains on per second, measured over a few steps."""
    network = build_network(recipe.layers, shape, output).to(device).train()
    optimiser = make_optimiser(network, recipe)
    count = min(recipe.batch_size, images)
    noise = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    labels = np.zeros((count, *target), np.int64)
    batch = Images(noise, labels, np.arange(count))
    best = float("inf")
    for step in range(_STEPS):
        began = time.monotonic()
        loss, _, _ = train_step(
            network.look, optimiser, 0.0, batch, np.zeros(count, bool), None, recipe, criterion, step, device
        )
        loss.item()  # waits for a GPU
        best = min(best, time.monotonic() - began)
    return count / best
