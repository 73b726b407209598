"""The training loop: batches of pixels in, trained weights out, a history and checkpoints on the way.

What is random in a step depends only on the seed, the epoch and the step. So a training that goes on from a checkpoint
takes the same steps as one that was never stopped, and ends with the same weights, on one CPU bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
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
from mirante.model.network import Network
from mirante.training.augment import take
from mirante.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from mirante.training.history import Epoch, write_history
from mirante.training.interrupt import StopRequest
from mirante.training.live import LiveLine
from mirante.training.muon import Muon
from mirante.training.pace import Pace, learning_rate
from mirante.training.recipe import Recipe

CHECKPOINT_SECONDS = 20.0
_EVALUATION_BATCH = 500
_STEPS_UNSEEN = 32  # a GPU runs ahead by so many steps before it is asked for a loss
_WHITENED = 500  # images whose patches a whitening layer sees


@dataclass(frozen=True)
class Images:
    """Pixels uint8 (N, H, W, C), in memory or on a device; class numbers (N,); and which rows of them are meant."""

    pixels: Pixels | Tensor
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class Stopped(WorkError):
    """The person asked to stop; everything is saved."""

    exit_status = 130


def fit(
    network: Network,
    train: Images,
    watch: Images | None,
    recipe: Recipe,
    run: Path,
    device: torch.device,
    report: Callable[[Epoch], None] | None = None,
    before: Epoch | None = None,
) -> list[Epoch]:
    """Train the network in place, from the run's checkpoint if it has one, and return the history.

    watch   images whose loss and accuracy are measured each epoch and choose nothing
    report  called with each finished epoch (TensorBoard)
    before  what the network came to before its first step, as epoch 0; its seconds count

    Raises Stopped after Ctrl-C or SIGTERM, WorkError when the loss is no number or a checkpoint cannot be written.
    """
    began = time.monotonic()
    network.to(device)
    optimiser = make_optimiser(network, recipe)
    folder = run / runfolder.CHECKPOINT
    progress = load_checkpoint(folder, network, optimiser)
    if progress == Progress():
        network.learn_whitening(_some(train, recipe.seed).to(device))
        if before is not None:
            progress = Progress(seconds=before.seconds, history=[before])
    small = _small_size(network, train, recipe, device)
    pace = Pace(recipe, len(train), _seconds_to_measure(network, watch, recipe, device))
    write_history(run / runfolder.HISTORY, progress.history)
    live = LiveLine(pace.epochs, len(train))
    # what the checkpoint had counts as before, the pause does not
    began -= progress.seconds
    with StopRequest() as stop:
        while not pace.over(progress.epoch * pace.steps + progress.step, progress.seconds):
            epoch_began = progress.history[-1].seconds if progress.history else 0.0
            saved = time.monotonic()
            unseen: list[tuple[Tensor, Tensor, int]] = []
            network.train()
            lr, size = 0.0, None
            for step, rows, mirrored in _batches(len(train), pace.steps, progress, recipe):
                total_step = progress.epoch * pace.steps + step
                share = pace.share(total_step, progress.seconds)
                lr = learning_rate(recipe, share)
                size = small if share < recipe.small_until else None
                batch = Images(train.pixels, train.labels, train.rows[rows])
                unseen.append(train_step(network, optimiser, lr, batch, mirrored, size, recipe, total_step, device))
                progress.step = step + 1
                progress.images += len(rows)
                now = time.monotonic() - began
                pace.took(now - progress.seconds)
                progress.seconds = now
                over = pace.over(total_step + 1, now)
                save = stop.requested or time.monotonic() - saved > CHECKPOINT_SECONDS
                if device.type == "cpu" or save or over or step + 1 == pace.steps or len(unseen) == _STEPS_UNSEEN:
                    _see(unseen, progress, folder)
                    live.step(progress, pace.left(total_step + 1, now))
                if save:
                    _save_sound(folder, network, optimiser, progress)
                    saved = time.monotonic()
                if over:
                    break
                if stop.requested and progress.step < pace.steps:
                    raise _stopped(f"in epoch {_of(progress.epoch + 1, pace)}", run)
            watched = measure(network, watch, recipe, device, size) if watch is not None else (None, None)
            progress.seconds = time.monotonic() - began
            done = Epoch(
                progress.epoch + 1,
                progress.epoch * pace.steps + progress.step,
                progress.seconds,
                lr,
                progress.loss_sum / progress.images,
                progress.correct / progress.images,
                *watched,
            )
            over = pace.over(done.step, done.seconds)
            progress = Progress(done.epoch, 0, progress.seconds, history=[*progress.history, done])
            _save_sound(folder, network, optimiser, progress)
            write_history(run / runfolder.HISTORY, progress.history)
            live.epoch(done, done.seconds - epoch_began, recipe.watch)
            if report is not None:
                report(done)
            if over:
                break
            if stop.requested:
                raise _stopped(f"after epoch {_of(progress.epoch, pace)}", run)
    return progress.history


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; biases and the scales of normalisation are not decayed."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if recipe.optimiser == "muon":
        return Muon(trained, recipe.learning_rate, recipe.adam_rate, recipe.momentum)
    groups = [
        {"params": [one for one in trained if one.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [one for one in trained if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimiser == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, eps=1e-7)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def measure(
    network: Network, images: Images, recipe: Recipe, device: torch.device, size: tuple[int, int] | None = None
) -> tuple[float, float]:
    """Return mean loss (nats) and accuracy on the images, as the training sees them: its size, its precision, one look each."""
    network.eval()
    found = []
    with torch.no_grad(), _precision(recipe, device):
        for start in range(0, len(images), _EVALUATION_BATCH):
            batch = _plain(images, slice(start, start + _EVALUATION_BATCH)).to(device)
            found.append(network.look(batch, size).float())
    logits = torch.cat(found).cpu()
    labels = torch.from_numpy(images.labels[images.rows])
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())


def _plain(images: Images, which: slice | NDArray[np.int64]) -> Tensor:
    """Return some of the images as they are, where they lie."""
    chosen = images.pixels[images.rows[which]]
    return torch.from_numpy(chosen) if isinstance(chosen, np.ndarray) else chosen


def _some(images: Images, seed: int) -> Tensor:
    return _plain(images, np.random.default_rng([seed, 1 << 33]).permutation(len(images))[:_WHITENED])


def hold(pixels: Pixels, device: torch.device) -> Pixels | Tensor:
    """Return the pixels on a GPU when they take less than half of what is free there, else as they are."""
    if device.type == "cuda" and 2 * pixels.nbytes < torch.cuda.mem_get_info(device)[0]:
        return torch.from_numpy(np.array(pixels)).to(device)
    return pixels


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which the recipe computes on the device."""
    if device.type == "cpu":
        by_itself = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()  # one of torch's own, unannounced
    else:
        by_itself = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "auto" and by_itself)


def _small_size(network: Network, train: Images, recipe: Recipe, device: torch.device) -> tuple[int, int] | None:
    """Return the smaller size that images are seen at first, or None when the recipe or the network takes only one."""
    if not recipe.small_until:
        return None
    height, width = (max(1, round(recipe.small_scale * side)) for side in train.pixels.shape[1:3])
    network.eval()
    try:
        with torch.no_grad():
            network.look(_plain(train, slice(1)).to(device), (height, width))
    except RuntimeError:  # a dense layer has its own number of inputs, a pooling needs its pixels
        return None
    return height, width


def _seconds_to_measure(network: Network, watch: Images | None, recipe: Recipe, device: torch.device) -> float:
    """Return the seconds that measuring the watched images takes, about; 0 when time does not matter."""
    if not recipe.seconds or watch is None:
        return 0.0
    few = Images(watch.pixels, watch.labels, watch.rows[:_EVALUATION_BATCH])
    measure(network, few, recipe, device)  # the first time is slower
    began = time.monotonic()
    measure(network, few, recipe, device)
    return (time.monotonic() - began) * len(watch) / len(few)


def _batches(
    count: int, steps: int, progress: Progress, recipe: Recipe
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield (step, positions of the images, which are mirrored) for the steps of this epoch that have not been taken."""
    order = np.random.default_rng([recipe.seed, progress.epoch]).permutation(count)
    mirrored = np.zeros(count, bool)
    if recipe.flip:
        # each image is mirrored every other epoch: no pair of epochs shows it twice the same way
        mirrored = np.random.default_rng([recipe.seed, 1 << 34]).random(count) < 0.5
        mirrored ^= bool(progress.epoch % 2)
    for step, rows in enumerate(np.array_split(order, steps)):
        if step >= progress.step:
            yield step, rows, mirrored[rows]


def train_step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    lr: float,
    images: Images,
    mirrored: NDArray[np.bool_],
    size: tuple[int, int] | None,
    recipe: Recipe,
    total_step: int,
    device: torch.device,
) -> tuple[Tensor, Tensor, int]:
    """Take one step on the images; return their mean loss, how many were right, and their number.

    mirrored  which of the images are mirrored; size (height, width) at which they are seen, if not their own
    """
    for group in optimiser.param_groups:
        group["lr"] = lr
    random = np.random.default_rng([recipe.seed, 1 << 32, total_step])
    torch.manual_seed((recipe.seed << 32) + total_step)  # what dropout draws
    batch = take(images.pixels, images.rows, mirrored, recipe.shift, random).to(device, non_blocking=True)
    wanted = torch.from_numpy(images.labels[images.rows]).to(device, non_blocking=True)
    with _precision(recipe, device):
        logits = network.look(batch, size).float()
    loss = F.cross_entropy(logits, wanted, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.detach(), (logits.detach().argmax(1) == wanted).sum(), len(images)


def _see(unseen: list[tuple[Tensor, Tensor, int]], progress: Progress, folder: Path) -> None:
    """Add the steps' losses to the epoch's and forget them; raises WorkError when one is no number."""
    for back, (loss, correct, count) in zip(range(len(unseen), 0, -1), unseen, strict=True):
        if not math.isfinite(loss.item()):
            raise _not_finite(progress.epoch, progress.step - back, folder)
        progress.loss_sum += loss.item() * count
        progress.correct += int(correct)
    unseen.clear()


def _save_sound(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Save a checkpoint, unless the last step has spoilt the weights."""
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise _not_finite(progress.epoch, progress.step, folder)
    try:
        save_checkpoint(folder, network, optimiser, progress)
    except WorkError as error:
        raise WorkError(f"{error} Then go on with: mirante train --resume --out {folder.parent}") from error


def _of(epoch: int, pace: Pace) -> str:
    return f"{epoch} of {pace.epochs}" if pace.epochs else str(epoch)


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
