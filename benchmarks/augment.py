"""What each word of augmentation takes, as a share of a training step without any.

    python benchmarks/augment.py

A batch of 250 images of 32 pixels with the quickest network of `fast`, and one of 32 photos of 224 with EfficientNet-Lite0 as
`transfer` tunes it; each word and the bare step in turn, medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from record import record

from mirante.model.network import build_network
from mirante.training.augment import VOCABULARY, Augmentation, Step
from mirante.training.criterion import cross_entropy
from mirante.training.engine import Images, freeze, make_optimiser, train_step
from mirante.training.malloc import keep_memory
from mirante.training.recipe import Recipe

ROUNDS = 9
SETTINGS = (("fast", "W2-32B-64B-64B-GMP", 32, 250), ("transfer", "timm:tf_efficientnet_lite0", 224, 32))


def milliseconds(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def shares(name: str, layers: str, side: int, batch: int) -> tuple[float, dict[str, float]]:
    """Return what a step without augmentation takes, in ms, and what each word takes more."""
    random, cpu = np.random.default_rng(0), torch.device("cpu")
    rough = random.integers(0, 256, (batch, side // 8, side // 8, 3), np.uint8)
    pixels = np.kron(rough, np.ones((1, 8, 8, 1), np.uint8))  # JPEG needs images, not noise
    rows, plain = np.arange(batch), np.zeros(batch, bool)
    recipe = Recipe.load(name, augment=(), layers=layers)
    network = build_network(layers, (side, side, 3), (5,))
    freeze(network, recipe.frozen)
    network.learn_whitening(torch.from_numpy(pixels))
    optimiser = make_optimiser(network, recipe)
    images = Images(pixels, random.integers(0, 5, batch), rows)

    def step() -> None:
        train_step(network.look, optimiser, 1e-4, images, plain, None, recipe, cross_entropy, 0, cpu)

    def change(steps: tuple[Step, ...]) -> None:
        Augmentation(steps, batch, rows % 2 == 1, 0, 0).batch(pixels, rows, rows, cpu)

    network.train()
    step()
    bare, nothing = milliseconds(step), milliseconds(lambda: change(()))
    words = {word: (Step(word, one.amount or 0.0),) for word, one in VOCABULARY.items()}
    return bare, {word: milliseconds(lambda steps=steps: change(steps)) - nothing for word, steps in words.items()}


def main() -> None:
    keep_memory()
    found = [shares(*one) for one in SETTINGS]
    heads = [f"`{name}`, {batch} images of {side} pixels" for name, _, side, batch in SETTINGS]
    lines = [
        f"| | {' | '.join(heads)} |",
        "|---|--:|--:|",
        f"| step without | {' | '.join(f'{bare:.0f} ms' for bare, _ in found)} |",
    ]
    for word in VOCABULARY:
        cells = [f"{max(0.0, by[word]):.1f} ms ({max(0.0, by[word]) / bare:.0%})" for bare, by in found]
        lines.append(f"| {word} | {' | '.join(cells)} |")
    record(f"What augmentation takes, {torch.get_num_threads()} thread(s)", lines)


if __name__ == "__main__":
    main()
