"""The training loop: batches of pixels in, trained weights out, a history and checkpoints on the way.

What is random in a step depends only on the seed, the epoch and the step. So a training that goes on from a checkpoint
takes the same steps as one that was never stopped, and ends with the same weights, on one CPU bit for bit. Several processes
(mirante.training.process_group) take the same steps together, and only the first one writes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mirante import runfolder
from mirante.errors import RequestError, WorkError
from mirante.model.network import Network
from mirante.training.checkpoint import Progress, load_checkpoint, pack, save_checkpoint, unpack
from mirante.training.criterion import Criterion
from mirante.training.engine import (
    Images,
    answer,
    loss_and_accuracy,
    make_optimiser,
    seconds_to_measure,
    small_size,
    some,
    train_step,
)
from mirante.training.history import Epoch, write_history
from mirante.training.interrupt import StopRequest
from mirante.training.process_group import ProcessGroup, current
from mirante.training.progress_line import ProgressLine
from mirante.training.recipe import Recipe
from mirante.training.schedule import Schedule, learning_rate
from mirante.training.snapshots import write_snapshot

CHECKPOINT_SECONDS = 20.0
_STEPS_UNSEEN = 32  # a GPU runs ahead by so many steps before it is asked for a loss
_WHITENED_PIXELS = 1 << 19  # that a whitening layer sees: 512 images of 32×32


class Stopped(WorkError):
    """The person asked to stop; everything is saved."""

    exit_status = 130


def fit(
    network: Network,
    train: Images,
    watch: Images | None,
    recipe: Recipe,
    criterion: Criterion,
    run: Path,
    device: torch.device,
    report: Callable[[Epoch], None] | None = None,
    before: Epoch | None = None,
    spent: float = 0.0,
) -> list[Epoch]:
    """Train the network in place, from the run's checkpoint if it has one, and return the history.

    Where several processes train together, all call this with the same network, images and recipe; `run`, `before` and `spent` are
    those of the first one.

    criterion  of the task: the loss, and what counts as right
    watch   images whose loss and accuracy are measured each epoch and choose nothing
    report  called with each finished epoch (TensorBoard)
    before  what the network came to before its first step, as epoch 0
    spent   seconds that have gone into this training already

    Raises Stopped after Ctrl-C or SIGTERM to any of the processes, LostError when one of them has ended, WorkError when the loss is no
    number or a checkpoint cannot be written.
    """
    began = time.monotonic()
    group = current()
    network.to(device)
    optimiser = make_optimiser(network, recipe)
    folder = run / runfolder.CHECKPOINT
    progress, reserve = Progress(), 0.0
    if group.leads:
        progress = load_checkpoint(folder, network, optimiser)
        if progress == Progress():
            height, width = train.pixels.shape[1:3]
            count = max(16, _WHITENED_PIXELS // (height * width))
            network.learn_whitening(some(train, count, recipe.seed).to(device))
            progress = Progress(seconds=spent, history=[] if before is None else [before])
        reserve = seconds_to_measure(network, watch, recipe, device) / group.world_size
    small = small_size(network, train, recipe, device)
    if group.world_size > 1:
        *state, progress, reserve = group.broadcast(
            (*pack(network, optimiser), progress, reserve) if group.leads else None
        )
        unpack(network, optimiser, *state)
    schedule = Schedule(recipe, len(train), reserve)
    if len(train) // schedule.steps < group.world_size:
        raise RequestError(
            f"batches of {len(train) // schedule.steps} images for {group.world_size} processes: start fewer, or use a larger "
            "--batch-size."
        )
    look = group.together(network, recipe, device)
    if group.leads:
        write_history(run / runfolder.HISTORY, progress.history)
    live = ProgressLine(schedule.epochs, len(train), folder)
    # what the checkpoint had counts as before, the pause does not
    began -= progress.seconds
    with StopRequest() as stop, group.raise_if_peer_lost():
        while not schedule.over(progress.epoch * schedule.steps + progress.step, progress.seconds):
            epoch_began = progress.history[-1].seconds if progress.history else 0.0
            saved = time.monotonic()
            unseen: list[tuple[Tensor, Tensor, int]] = []
            network.train()
            lr, size = 0.0, None
            for step, rows, mirrored in _batches(len(train), schedule.steps, progress, recipe):
                total_step = progress.epoch * schedule.steps + step
                share = schedule.share(total_step, progress.seconds)
                lr = learning_rate(recipe, share)
                size = small if share < recipe.progressive_resize_until else None
                batch = Images(train.pixels, train.targets, train.rows[rows])
                unseen.append(
                    train_step(look, optimiser, lr, batch, mirrored, size, recipe, criterion, total_step, device)
                )
                progress.step = step + 1
                progress.images += len(rows)
                clock = time.monotonic()
                now, stopping, save = group.agree(clock - began, stop.requested, clock - saved > CHECKPOINT_SECONDS)
                schedule.took(now - progress.seconds)
                progress.seconds = now
                over = schedule.over(total_step + 1, now)
                save = save or stopping
                if device.type == "cpu" or save or over or step + 1 == schedule.steps or len(unseen) == _STEPS_UNSEEN:
                    _see(unseen, progress, folder, group)
                    if group.leads:
                        live.step(progress, schedule.left(total_step + 1, now))
                if save:
                    if group.leads:
                        _save_sound(folder, network, optimiser, progress)
                    saved = time.monotonic()
                if over:
                    break
                if stopping and progress.step < schedule.steps:
                    raise _stopped(f"in epoch {_of(progress.epoch + 1, schedule)}", run)
            watched: tuple[float, float] | tuple[None, None] = (None, None)
            seen = None
            if watch is not None:
                logits = _answer_together(network, watch, recipe, device, size, group)
                if group.leads:
                    watched = loss_and_accuracy(logits, watch, criterion)
                    seen = logits, watch.targets[watch.rows], watch.rows
            progress.seconds, stopping, _ = group.agree(time.monotonic() - began, stop.requested, False)
            done = Epoch(
                progress.epoch + 1,
                progress.epoch * schedule.steps + progress.step,
                progress.seconds,
                lr,
                progress.loss_sum / progress.images,
                progress.correct / progress.images,
                *watched,
            )
            over = schedule.over(done.step, done.seconds)
            progress = Progress(done.epoch, 0, progress.seconds, history=[*progress.history, done])
            if group.leads:
                _save_sound(folder, network, optimiser, progress)
                write_history(run / runfolder.HISTORY, progress.history)
                write_snapshot(run, done.epoch, network, seen, criterion)
                live.epoch(done, done.seconds - epoch_began, recipe.watch)
            if report is not None:
                report(done)
            if over:
                break
            if stopping:
                raise _stopped(f"after epoch {_of(progress.epoch, schedule)}", run)
    return progress.history


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


def _see(unseen: list[tuple[Tensor, Tensor, int]], progress: Progress, folder: Path, group: ProcessGroup) -> None:
    """Add the steps' losses to the epoch's and forget them; raises WorkError when one is no number."""
    parts = torch.stack([torch.stack([loss, correct.to(loss.dtype)]) for loss, correct, _ in unseen])
    sums = group.all_reduce(parts.cpu().double()).tolist()
    for back, (_, _, count), (loss, correct) in zip(range(len(unseen), 0, -1), unseen, sums, strict=True):
        if not math.isfinite(loss):
            raise _not_finite(progress.epoch, progress.step - back, folder)
        progress.loss_sum += loss * count
        progress.correct += round(correct)
    unseen.clear()


def _answer_together(
    network: Network,
    watch: Images,
    recipe: Recipe,
    device: torch.device,
    size: tuple[int, int] | None,
    group: ProcessGroup,
) -> Tensor:
    """Return the logits of the watched images, of which each process answers its share."""
    own = Images(watch.pixels, watch.targets, watch.rows[group.shard(len(watch))])
    parts = group.all_gather(answer(network, own, recipe, device, size) if len(own) else None)
    return torch.cat([part for part in parts if part is not None])


def _save_sound(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Save a checkpoint, unless the last step has spoilt the weights."""
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise _not_finite(progress.epoch, progress.step, folder)
    try:
        save_checkpoint(folder, network, optimiser, progress)
    except WorkError as error:
        raise WorkError(f"{error} Then go on with: mirante train --resume --out {folder.parent}") from error


def _of(epoch: int, schedule: Schedule) -> str:
    return f"{epoch} of {schedule.epochs}" if schedule.epochs else str(epoch)


def _stopped(where: str, run: Path) -> Stopped:
    return Stopped(f"Stopped {where}; nothing is lost. Go on with: mirante train --resume --out {run}")


def _not_finite(epoch: int, step: int, folder: Path) -> WorkError:
    kept = f"; the last good checkpoint is kept in {folder}" if folder.is_dir() else ""
    return WorkError(
        f"Epoch {epoch + 1}, step {step + 1}: the loss is no longer a number, so training stopped{kept}. A lower learning "
        "rate usually cures this: --learning-rate."
    )
