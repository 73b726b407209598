"""One training step and one measurement, on the CPU or a GPU: pixels in, updated weights or figures out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirante.errors import WorkError
from mirante.images import Pixels
from mirante.model.backbone import Backbone
from mirante.model.network import Network
from mirante.training.augment import Augmentation, read_augment
from mirante.training.criterion import Criterion
from mirante.training.muon import Muon
from mirante.training.process_group import current
from mirante.training.recipe import Recipe

_EVALUATION_BATCH = 500
_EVALUATION_PIXELS = 1 << 21  # of all images at once; see mirante.onnx_session

Look = Callable[[Tensor, tuple[int, int] | None], Tensor]


@dataclass(frozen=True)
class Images:
    """Pixels uint8 (N, H, W, C), in memory or on a device; which of their rows are used; targets (N, …)."""

    pixels: Pixels | Tensor
    targets: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


def freeze(network: Network, share: float) -> None:
    """Leave the first weights of a backbone as they are: this share of its tensors, in order."""
    if isinstance(network.body, Backbone):
        parameters = list(network.body.body.parameters())
        for number, parameter in enumerate(parameters):
            parameter.requires_grad_(number >= share * len(parameters))


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; biases and normalisation scales are not decayed."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if recipe.optimiser == "muon":
        return Muon(trained, recipe.learning_rate, recipe.adam_rate, recipe.momentum)
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate)
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, eps=1e-7)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def answer(
    network: Network, images: Images, recipe: Recipe, device: torch.device, size: tuple[int, int] | None = None
) -> Tensor:
    """Return logits (N, …, classes) on the CPU for the images, seen as in training: its size and precision."""
    network.eval()
    found = []
    with torch.no_grad(), _precision(recipe, device):
        height, width = images.pixels.shape[1:3]
        step = min(_EVALUATION_BATCH, max(1, _EVALUATION_PIXELS // (height * width)))
        for start in range(0, len(images), step):
            batch = _plain(images, slice(start, start + step)).to(device)
            found.append(network.look(batch, size).float())
    return torch.cat(found).cpu()


def loss_and_accuracy(logits: Tensor, images: Images, criterion: Criterion) -> tuple[float, float]:
    """Return mean loss (nats) and accuracy of the answers to the images."""
    targets = torch.from_numpy(images.targets[images.rows])
    return float(criterion.loss(logits, targets, 0.0)), float(criterion.right(logits, targets).double().mean())


def _plain(images: Images, which: slice | NDArray[np.int64]) -> Tensor:
    """Return some of the images as they are, where they lie."""
    chosen = images.pixels[images.rows[which]]
    return torch.from_numpy(chosen) if isinstance(chosen, np.ndarray) else chosen


def some(images: Images, count: int, seed: int) -> Tensor:
    """Return `count` of the images, or all, drawn by the seed, where they lie."""
    return _plain(images, np.random.default_rng([seed, 1 << 33]).permutation(len(images))[:count])


def hold(pixels: Pixels, device: torch.device) -> Pixels | Tensor:
    """Return the pixels on a GPU when they take less than half of what is free there, else as they are."""
    if device.type == "cuda" and 2 * pixels.nbytes < torch.cuda.mem_get_info(device)[0]:
        return torch.from_numpy(np.array(pixels)).to(device)
    return pixels


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the recipe computes on the device."""
    if device.type == "cpu":
        by_itself = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()  # a private torch function
    else:
        by_itself = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "auto" and by_itself)


def small_size(network: Network, train: Images, recipe: Recipe, device: torch.device) -> tuple[int, int] | None:
    """Return the smaller size at which images are first seen, or None when the recipe or the network takes only one."""
    if not recipe.progressive_resize_until:
        return None
    height, width = (max(1, round(recipe.progressive_resize_scale * side)) for side in train.pixels.shape[1:3])
    network.eval()
    try:
        with torch.no_grad():
            network.look(_plain(train, slice(1)).to(device), (height, width))
    except RuntimeError:  # a dense layer has a fixed number of inputs; pooling needs enough pixels
        return None
    return height, width


def seconds_to_measure(network: Network, watch: Images | None, recipe: Recipe, device: torch.device) -> float:
    """Return roughly how many seconds it takes to measure the watched images; 0 when time does not matter."""
    if not recipe.seconds or watch is None:
        return 0.0
    few = Images(watch.pixels, watch.targets, watch.rows[:_EVALUATION_BATCH])
    answer(network, few, recipe, device)  # the first time is slower
    began = time.monotonic()
    answer(network, few, recipe, device)
    return (time.monotonic() - began) * len(watch) / len(few)


def train_step(
    look: Look,
    optimiser: torch.optim.Optimizer,
    lr: float,
    images: Images,
    mirrored: NDArray[np.bool_],
    size: tuple[int, int] | None,
    recipe: Recipe,
    criterion: Criterion,
    total_step: int,
    device: torch.device,
) -> tuple[Tensor, Tensor, int]:
    """Take one step on the images, or on this process's share of them.

    Returns its part of their mean loss, how many of its share were right, and the number of all images.

    look      gives the logits of uint8 images (N, H, W, C), seen at a size
    mirrored  which of the images are mirrored; size (height, width) at which they are seen, if not their own
    """
    for parameters in optimiser.param_groups:
        parameters["lr"] = lr
    group = current()
    torch.manual_seed((recipe.seed << 32) + (group.rank << 40) + total_step)  # for dropout
    part = np.arange(len(images))[group.shard(len(images))]
    change = Augmentation(read_augment(recipe.augment), len(images), mirrored, recipe.seed, total_step)
    batch = change.batch(images.pixels, images.rows, part, device)

    def targets(places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(images.targets[images.rows[places]]).to(device, non_blocking=True)

    wanted = targets(part)
    with _precision(recipe, device):
        logits = look(batch, size).float()
    loss = criterion.loss(logits, wanted, recipe.label_smoothing)
    if change.mix is not None:
        other = criterion.loss(logits, targets(change.mix.other[part]), recipe.label_smoothing)
        loss = change.mix.share * loss + (1 - change.mix.share) * other
    loss = loss * (len(batch) / len(images))
    optimiser.zero_grad(set_to_none=True)
    (loss * group.world_size).backward()  # type: ignore[no-untyped-call]  # its gradient is a mean over the processes
    optimiser.step()
    return loss.detach(), criterion.right(logits.detach(), wanted).sum(), len(images)


def best_device(wanted: str) -> torch.device:
    """Return the device of that name; `auto` takes a GPU if there is one. Raises WorkError when it is not there."""
    group = current()
    if group.world_size > 1 and wanted != "cpu":
        return _own_gpu(wanted, group.local_rank)
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise WorkError(
            f"--device {wanted}: not available on this machine; use cpu, or auto to take what there is."
        ) from error
    return device


def _own_gpu(wanted: str, local: int) -> torch.device:
    """Return the device of one of several processes on this machine: one GPU each, or the CPU for all."""
    if wanted not in ("auto", "cuda"):
        raise WorkError(
            f"--device {wanted}: several processes train on the CPU or on one GPU each; use cpu, cuda or auto."
        )
    count = torch.cuda.device_count()
    if wanted == "auto" and not count:
        return torch.device("cpu")
    if local >= count:
        raise WorkError(
            f"this machine has {count} GPUs but more processes; start one per GPU (--nproc-per-node {max(1, count)}), or use "
            "--device cpu."
        )
    return torch.device("cuda", local)
