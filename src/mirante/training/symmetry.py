"""Whether mirrored, upside-down or turned images would still be of their class: asked of the training images alone.

Two questions, and both must be answered with yes. Do the images look as likely that way? In a data set without left and right the
difference between an image and its mirror image points anywhere; for digits, letters, and the heart in chest X-rays it points the
same way in most images of a class. And is their class still known? A network is taught some of the training images as they are, and
asked about others as they are and changed: so arrows to the left and to the right are found to be two classes that mirroring would
exchange, wherever and however they are drawn. What it cannot learn it cannot answer, and that means no. From few photos a small
network learns too little to tell; where the network to be tuned is a pretrained one, that one is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mirante.data.partition import spread
from mirante.images import Pixels
from mirante.model.network import build_network
from mirante.training.augment import read_augment
from mirante.training.criterion import cross_entropy
from mirante.training.engine import make_optimiser
from mirante.training.head import Head, fit_head
from mirante.training.recipe import Recipe

_SIDE = 16  # pixels, of the first question
_MOST = 2000  # training images that are asked
_FAR = 0.1  # how far from one half the share of images that differ in the same way may be
_DOUBT = 0.5  # with few images the share is uncertain; most things have a top, but no left and right

_SMALL_NETWORK, _SMALL_SIDE = "W2-16B-32B-GMP", 24
_TAUGHT, _STEPS, _BATCH = 1000, 80, 50  # of the second question: images, and how long they are learned
_LOSS = 0.03  # of the accuracy, that may be chance

_LOOKED_AT, _FOLDS, _PENALTY = 120, 5, 0.3  # where a pretrained network is asked
_LOOKED_AT_A_SECOND = 4  # of a training by the clock

Change = Callable[[NDArray[Any]], NDArray[Any]]
Look = Callable[[Pixels], NDArray[np.float32]]
_CHANGES: dict[str, tuple[Change, ...]] = {
    "mirror": (lambda images: images[:, :, ::-1],),
    "upside-down": (lambda images: images[:, ::-1],),
    "turn": (lambda images: np.rot90(images, 1, (1, 2)), lambda images: np.rot90(images, 2, (1, 2))),
}


class Known(NamedTuple):
    """Of `images` images, the share that a network recognises as they are, changed, and by always naming one class."""

    images: int
    plain: float
    changed: float
    chance: float


def agreement(pixels: Pixels, rows: NDArray[np.int64], targets: NDArray[np.int64], change: str) -> float:
    """Return the share of images, 0 to 1, in whose class a change shows in the same way; 0.5 is chance.

    pixels (N, H, W, C) uint8 and their classes (N,), one for an image; rows of them that are asked
    """
    some = spread(rows, _MOST)
    small = np.stack([_shrunk(pixels[row], _SIDE).mean(2, dtype=np.float32) for row in some])
    classes = targets[some]
    found = []
    for one in _CHANGES[change]:
        differences = (small - one(small)).reshape(len(small), -1)
        sizes = np.linalg.norm(differences, axis=1, keepdims=True)
        differences = np.where(
            sizes > _SIDE, differences / np.maximum(sizes, 1e-6), 0
        )  # less than one level is rounding
        sums = np.zeros((int(classes.max()) + 1, differences.shape[1]), np.float32)
        np.add.at(sums, classes, differences)
        scores = ((sums[classes] - differences) * differences).sum(axis=1)
        found.append(float(((scores > 1e-6) + 0.5 * (np.abs(scores) <= 1e-6)).mean()))
    return max(found, key=lambda share: abs(share - 0.5))


def recognised(
    pixels: Pixels, rows: NDArray[np.int64], targets: NDArray[np.int64], changes: list[str], seed: int
) -> dict[str, Known]:
    """Return what a small network, taught some of the images as they are, recognises of others, by change; see `agreement`."""
    order = np.random.default_rng([seed, 1 << 36]).permutation(rows)[: _TAUGHT * 4 // 3]
    taught, asked = order[len(order) // 4 :], order[: len(order) // 4]
    side = min(_SMALL_SIDE, *pixels.shape[1:3])
    images, others = (np.stack([_shrunk(pixels[row], max(8, side)) for row in some]) for some in (taught, asked))
    known = torch.random.get_rng_state()
    torch.manual_seed(seed)
    recipe = Recipe.load("fast")
    network = build_network(_SMALL_NETWORK, images.shape[1:], int(targets.max()) + 1)
    network.learn_whitening(torch.from_numpy(images[:512]))
    optimiser = make_optimiser(network, recipe)
    wanted, random = torch.from_numpy(targets[taught]), np.random.default_rng(seed)
    network.train()
    for step in range(_STEPS):
        batch = random.integers(0, len(images), _BATCH)
        for parameters in optimiser.param_groups:
            parameters["lr"] = recipe.learning_rate * (1 - step / _STEPS)
        loss = cross_entropy.loss(network.look(torch.from_numpy(images[batch])), wanted[batch], 0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    network.eval()
    torch.random.set_rng_state(known)

    def right(seen: NDArray[Any]) -> float:
        with torch.no_grad():
            logits = network.look(torch.from_numpy(np.ascontiguousarray(seen))).numpy()
        return float((logits.argmax(1) == targets[asked]).mean())

    plain, chance = right(others), float(np.bincount(targets[asked]).max() / len(asked))
    return {
        change: Known(len(asked), plain, min(right(one(others)) for one in _CHANGES[change]), chance)
        for change in changes
    }


def recognised_by_features(
    look: Look,
    most: int,
    pixels: Pixels,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    changes: list[str],
    seed: int,
) -> dict[str, Known]:
    """Return what a last layer on a backbone's features, fitted without the images asked about, recognises; see `agreement`.

    look  returns the features (N, width) of pixels; most is how many images it may be asked about
    """
    order = np.random.default_rng([seed, 1 << 36]).permutation(rows)[:most]
    images, labels = pixels[order], targets[order]
    seen = look(images)
    turned = {  # what is not square can only be turned upside down
        change: [
            look(np.ascontiguousarray(one(images))) for one in _CHANGES[change] if one(images).shape == images.shape
        ]
        for change in changes
    }
    fold = np.arange(len(order)) % _FOLDS
    heads = [_head(seen[fold != held], labels[fold != held], int(labels.max()) + 1) for held in range(_FOLDS)]

    def right(features: NDArray[np.float32]) -> float:
        named = np.stack([features @ head.weight.T + head.bias for head in heads]).argmax(2)
        return float((named[fold, np.arange(len(order))] == labels).mean())

    chance = float(np.bincount(labels).max() / len(labels))
    return {change: Known(len(order), right(seen), min(map(right, turned[change])), chance) for change in changes}


def _head(features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Head:
    return fit_head(features, labels, features[:0], labels[:0], classes, _PENALTY)


def suited_to(
    recipe: Recipe,
    pixels: Pixels,
    rows: NDArray[np.int64],
    targets: NDArray[np.int64],
    look: Look | None = None,
) -> Recipe:
    """Return the recipe with each of its questions (`mirror?`) answered by the training images, and say how.

    look  returns a pretrained backbone's features (N, width) of pixels (N, H, W, C); None asks a small network

    A network that is not trained on mirror images does not look at them when it answers either (flip_tta).
    """
    targets = targets if targets.ndim == 1 else _rarest(targets)
    steps = list(zip(recipe.augment, read_augment(recipe.augment), strict=True))
    shares = {step.name: agreement(pixels, rows, targets, step.name) for _, step in steps if step.asked}
    looks = {name: share for name, share in shares.items() if _is_alike(share, len(rows), name)}
    known: dict[str, Known] = {}
    if looks and len(rows) > 7:
        asked = pixels, rows, targets, list(looks), recipe.seed
        most = min(_LOOKED_AT, int(_LOOKED_AT_A_SECOND * recipe.seconds)) if recipe.seconds else _LOOKED_AT
        known = recognised(*asked) if look is None else recognised_by_features(look, max(8, most), *asked)
    judge = "a small network" if look is None else "the pretrained network"
    kept, said = [], []
    for item, step in steps:
        if not step.asked:
            kept.append(item)
            continue
        fits = step.name in known and _is_safe(known[step.name])
        kept += [step.name] if fits else []
        why = f"{shares[step.name]:.0%} of the images differ in the same way, by chance 50%"
        if step.name in known:
            one = known[step.name]
            why = f"{judge} recognises {one.plain:.0%} of {one.images} images, and {one.changed:.0%} changed so"
            if not _is_learned(one):
                why = f"{judge} learns too little from these images to tell"
        said.append(f"{step.name} {'yes' if fits else 'no'} ({why})")
    for word in said:
        logging.getLogger("mirante").info(f"augmentation: {word}")
    found = recipe.changed(augment=tuple(kept), flip_tta=recipe.flip_tta and "mirror" in kept)
    return recipe if found == recipe else found


def _is_alike(share: float, images: int, change: str) -> bool:
    doubt = _DOUBT / float(images) ** 0.5
    return bool(abs(share - 0.5) <= (_FAR + doubt if change == "mirror" else _FAR - doubt))


def _is_safe(known: Known) -> bool:
    """Tell whether the network has learned something, and recognises as many changed images."""
    images, plain, changed, chance = known
    doubt = max(_LOSS, 1.5 * (2 * plain * (1 - plain) / images) ** 0.5)
    return bool(_is_learned(known) and changed >= plain - doubt and changed - chance >= (plain - chance) / 2)


def _is_learned(known: Known) -> bool:
    """Tell whether the network recognises more than chance does."""
    return bool(known.plain - known.chance > 2 * (known.chance * (1 - known.chance) / known.images) ** 0.5)


def _rarest(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one class number (N,) for targets (N, labels): the rarest label that an image has, from 1; 0 for none."""
    order = np.argsort((targets > 0).sum(axis=0), kind="stable")
    has = targets[:, order] > 0
    found: NDArray[np.int64] = np.where(has.any(axis=1), order[has.argmax(axis=1)] + 1, 0)
    return found


def _shrunk(image: Pixels, side: int) -> Pixels:
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    found = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))  # symmetric, which BOX is not
    return found if found.ndim == 3 else found[:, :, None]
