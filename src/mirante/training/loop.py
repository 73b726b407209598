"""The training loop: batches of pixels in, trained weights out, a history and checkpoints on the way.

What is random in a step depends only on the seed, the epoch and the step. So a training that goes on from a checkpoint
takes the same steps as one that was never stopped, and ends with the same weights, on one CPU bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mirante import runfolder
from mirante.errors import WorkError
from mirante.images import Pixels
from mirante.training.augment import augment
from mirante.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from mirante.training.history import Epoch, write_history
from mirante.training.interrupt import StopRequest
from mirante.training.live import LiveLine
from mirante.training.recipe import Recipe

CHECKPOINT_SECONDS = 20.0
_WARM_UP = 0.2
_EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Images:
    """Pixels uint8 (N, H, W, C), class numbers (N,), and which rows of them are meant."""

    pixels: Pixels
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class Stopped(WorkError):
    """The person asked to stop; everything is saved."""

    exit_status = 130


def fit(
    network: nn.Module,
    train: Images,
    watch: Images | None,
    recipe: Recipe,
    run: Path,
    device: torch.device,
    report: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train the network in place, from the run's checkpoint if it has one, and return the history.

    watch   images whose loss and accuracy are measured each epoch and choose nothing
    report  called with each finished epoch (TensorBoard)

    Raises Stopped after Ctrl-C or SIGTERM, WorkError when the loss is no number or a checkpoint cannot be written.
    """
    network.to(device)
    optimiser = make_optimiser(network, recipe)
    folder = run / runfolder.CHECKPOINT
    progress = load_checkpoint(folder, network, optimiser)
    write_history(run / runfolder.HISTORY, progress.history)
    live = LiveLine(recipe.epochs, len(train))
    steps = math.ceil(len(train) / recipe.batch_size)
    with StopRequest() as stop:
        while progress.epoch < recipe.epochs:
            # the clock starts over after a pause; what the checkpoint had counts as before
            began = time.monotonic() - progress.seconds
            epoch_began = progress.history[-1].seconds if progress.history else 0.0
            saved = time.monotonic()
            network.train()
            for step, rows in _batches(len(train), progress, recipe):
                total_step = progress.epoch * steps + step
                lr = learning_rate(recipe, total_step, recipe.epochs * steps)
                loss, correct = _train_step(network, optimiser, lr, train, train.rows[rows], recipe, total_step, device)
                if not math.isfinite(loss):
                    raise _not_finite(progress.epoch, step, folder)
                progress.step = step + 1
                progress.loss_sum += loss * len(rows)
                progress.correct += correct
                progress.seconds = time.monotonic() - began
                seen = min(progress.step * recipe.batch_size, len(train))
                live.step(progress.epoch + 1, seen, len(rows), progress.loss_sum / seen, progress.correct / seen)
                if stop.requested or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    _save_sound(folder, network, optimiser, progress)
                    saved = time.monotonic()
                if stop.requested and progress.step < steps:
                    raise _stopped(f"in epoch {progress.epoch + 1} of {recipe.epochs}", run)
            watched = measure(network, watch, device) if watch is not None else (None, None)
            progress.seconds = time.monotonic() - began
            done = Epoch(
                progress.epoch + 1,
                (progress.epoch + 1) * steps,
                progress.seconds,
                learning_rate(recipe, (progress.epoch + 1) * steps - 1, recipe.epochs * steps),
                progress.loss_sum / len(train),
                progress.correct / len(train),
                *watched,
            )
            progress = Progress(done.epoch, 0, progress.seconds, history=[*progress.history, done])
            _save_sound(folder, network, optimiser, progress)
            write_history(run / runfolder.HISTORY, progress.history)
            live.epoch(done, done.seconds - epoch_began, recipe.watch)
            if report is not None:
                report(done)
            if stop.requested and progress.epoch < recipe.epochs:
                raise _stopped(f"after epoch {progress.epoch} of {recipe.epochs}", run)
    return progress.history


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; biases and the scales of normalisation are not decayed."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, eps=1e-7)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0, of a training of so many steps."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    # the middle of the step, so that neither the first nor the last step is taken with a rate of 0
    here = (step + 0.5) / steps
    return recipe.learning_rate * min(here / _WARM_UP, (1 - here) / (1 - _WARM_UP))


def measure(network: nn.Module, images: Images, device: torch.device) -> tuple[float, float]:
    """Return mean loss (nats) and accuracy on the images."""
    logits = logits_of(network, images, device)
    labels = torch.from_numpy(images.labels[images.rows])
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


def logits_of(network: nn.Module, images: Images, device: torch.device) -> Tensor:
    """Return the logits (N, classes) of the images, on the CPU."""
    network.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(images), _EVALUATION_BATCH):
            batch = images.pixels[images.rows[start : start + _EVALUATION_BATCH]]
            found.append(network(torch.from_numpy(batch).to(device)).float().cpu())
    return torch.cat(found)


def _batches(count: int, progress: Progress, recipe: Recipe) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (step, positions of the images) for the steps of this epoch that have not been taken."""
    order = np.random.default_rng([recipe.seed, progress.epoch]).permutation(count)
    for step in range(progress.step, math.ceil(count / recipe.batch_size)):
        yield step, order[step * recipe.batch_size : (step + 1) * recipe.batch_size]


def _train_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    lr: float,
    images: Images,
    rows: NDArray[np.int64],
    recipe: Recipe,
    total_step: int,
    device: torch.device,
) -> tuple[float, int]:
    """Take one step; return the batch's mean loss and how many of it were right."""
    for group in optimiser.param_groups:
        group["lr"] = lr
    random = np.random.default_rng([recipe.seed, 1 << 32, total_step])
    torch.manual_seed((recipe.seed << 32) + total_step)  # what dropout draws
    batch = torch.from_numpy(augment(images.pixels[rows], recipe.flip, recipe.shift, random)).to(device)
    labels = torch.from_numpy(images.labels[rows]).to(device)
    logits = network(batch)
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.item(), int((logits.detach().argmax(1) == labels).sum())


def _save_sound(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Save a checkpoint, unless the last step has spoilt the weights."""
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise _not_finite(progress.epoch, progress.step, folder)
    try:
        save_checkpoint(folder, network, optimiser, progress)
    except WorkError as error:
        raise WorkError(f"{error} Then go on with: mirante train --resume --out {folder.parent}") from error


def _stopped(where: str, run: Path) -> Stopped:
    return Stopped(f"Stopped {where}; nothing is lost. Go on with: mirante train --resume --out {run}")


def _not_finite(epoch: int, step: int, folder: Path) -> WorkError:
    kept = f"; the last good checkpoint is kept in {folder}" if folder.is_dir() else ""
    return WorkError(
        f"Epoch {epoch + 1}, step {step + 1}: the loss is no longer a number, so training stopped{kept}. A lower learning "
        "rate usually cures this: --learning-rate."
    )


def best_device(wanted: str) -> torch.device:
    """Return the device of that name; `auto` takes a GPU if there is one. Raises WorkError when it is not there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(wanted)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise WorkError(f"--device {wanted}: not on this machine; use cpu, or auto to take what there is.") from error
    return device
