"""The training loop: batches of pixels in, trained weights out, a history and checkpoints along the way.

What is random in a step depends only on the seed, the epoch and the step. So a training resumed from a checkpoint
takes the same steps as one that was never stopped, and ends with the same weights, bit for bit on one CPU. Several processes
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
from mirante.training.augment import read_augment
from mirante.training.checkpoint import Progress, load_checkpoint, pack, save_checkpoint, unpack
from mirante.training.criterion import Criterion
from mirante.training.engine import (
    Images,
    answer,
    freeze,
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
_STEPS_UNSEEN = 32  # a GPU runs ahead by this many steps before it is asked for a loss
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

    When several processes train together, all call this with the same network, images and recipe; `run`, `before` and `spent`
    are those of the first one.

    criterion  of the task: the loss, and what counts as right
    watch   images whose loss and accuracy are measured each epoch and choose nothing
    report  called with each finished epoch (TensorBoard)
    before  what the network achieved before its first step, as epoch 0
    spent   seconds already spent on this training

    Raises Stopped after Ctrl-C or SIGTERM to any of the processes, LostError when one of them has ended, WorkError when the loss
    is not a number or a checkpoint cannot be written.
    """
    loop = _Loop(network, train, watch, recipe, criterion, run, device)
    loop.begin(before, spent)
    with StopRequest() as stop, loop.group.raise_if_peer_lost():
        while not loop.is_over:
            loop.take_steps(stop)
            done, stopping = loop.finish_epoch(stop)
            if report is not None:
                report(done)
            if loop.schedule.over(done.step, done.seconds):
                break
            if stopping:
                raise _stopped(f"after epoch {_of(done.epoch, loop.schedule)}", run)
    return loop.progress.history


class _Loop:
    """One running training: what is trained, how far it has come, and its clock."""

    schedule: Schedule
    progress: Progress

    def __init__(
        self,
        network: Network,
        train: Images,
        watch: Images | None,
        recipe: Recipe,
        criterion: Criterion,
        run: Path,
        device: torch.device,
    ) -> None:
        self.network, self.train, self.watch = network.to(device), train, watch
        self.recipe, self.criterion, self.run, self.device = recipe, criterion, run, device
        self.group = current()
        self.began = time.monotonic()
        self.folder = run / runfolder.CHECKPOINT
        freeze(network, recipe.frozen)
        self.optimiser = make_optimiser(network, recipe)
        self.lr = 0.0
        self.size: tuple[int, int] | None = None  # at which images are seen now, if not their own

    def begin(self, before: Epoch | None, spent: float) -> None:
        """Load the checkpoint if there is one, and agree with the other processes."""
        network, recipe, group = self.network, self.recipe, self.group
        progress, reserve = Progress(), 0.0
        if group.leads:
            progress = load_checkpoint(self.folder, network, self.optimiser)
            if progress == Progress():
                height, width = self.train.pixels.shape[1:3]
                count = max(16, _WHITENED_PIXELS // (height * width))
                network.learn_whitening(some(self.train, count, recipe.seed).to(self.device))
                progress = Progress(seconds=spent, history=[] if before is None else [before])
            reserve = seconds_to_measure(network, self.watch, recipe, self.device) / group.world_size
        self.small = small_size(network, self.train, recipe, self.device)
        if group.world_size > 1:
            own = (*pack(network, self.optimiser), progress, reserve) if group.leads else None
            *state, progress, reserve = group.broadcast(own)
            unpack(network, self.optimiser, *state)
        self.progress, self.schedule = progress, Schedule(recipe, len(self.train), reserve)
        images = len(self.train) // self.schedule.steps
        if images < group.world_size:
            raise RequestError(
                f"batches of {images} images are too small for {group.world_size} processes: start fewer, or raise --batch-size."
            )
        self.look = group.together(network, recipe, self.device)
        if group.leads:
            write_history(self.run / runfolder.HISTORY, progress.history)
        self.live = ProgressLine(self.schedule.epochs, len(self.train), self.folder)
        self.began -= progress.seconds  # the checkpoint's time counts, the pause does not

    @property
    def is_over(self) -> bool:
        progress = self.progress
        return self.schedule.over(progress.epoch * self.schedule.steps + progress.step, progress.seconds)

    def take_steps(self, stop: StopRequest) -> None:
        """Take the remaining steps of this epoch. Raises Stopped when somebody asked to stop."""
        group, schedule, progress = self.group, self.schedule, self.progress
        saved = time.monotonic()
        unseen: list[tuple[Tensor, Tensor, int]] = []
        self.network.train()
        for step, rows, mirrored in _batches(len(self.train), schedule.steps, progress, self.recipe):
            total_step = progress.epoch * schedule.steps + step
            unseen.append(self._step(total_step, rows, mirrored))
            progress.step = step + 1
            progress.images += len(rows)
            clock = time.monotonic()
            wants_save = clock - saved > CHECKPOINT_SECONDS
            now, stopping, save = group.agree(clock - self.began, stop.requested, wants_save)
            schedule.took(now - progress.seconds)
            progress.seconds = now
            over = schedule.over(total_step + 1, now)
            save = save or stopping
            ends = over or step + 1 == schedule.steps
            if self.device.type == "cpu" or save or ends or len(unseen) == _STEPS_UNSEEN:
                _see(unseen, progress, self.folder, group)
                if group.leads:
                    self.live.step(progress, schedule.left(total_step + 1, now))
            if save:
                if group.leads:
                    _save_sound(self.folder, self.network, self.optimiser, progress)
                saved = time.monotonic()
            if over:
                break
            if stopping and progress.step < schedule.steps:
                raise _stopped(f"in epoch {_of(progress.epoch + 1, schedule)}", self.run)

    def _step(
        self, total_step: int, rows: NDArray[np.int64], mirrored: NDArray[np.bool_]
    ) -> tuple[Tensor, Tensor, int]:
        share = self.schedule.share(total_step, self.progress.seconds)
        self.lr = learning_rate(self.recipe, share)
        self.size = self.small if share < self.recipe.progressive_resize_until else None
        batch = Images(self.train.pixels, self.train.targets, self.train.rows[rows])
        asked = self.recipe, self.criterion, total_step, self.device
        return train_step(self.look, self.optimiser, self.lr, batch, mirrored, self.size, *asked)

    def finish_epoch(self, stop: StopRequest) -> tuple[Epoch, bool]:
        """Measure the watched images and save everything; return the epoch, and whether somebody asked to stop."""
        group, watch, progress = self.group, self.watch, self.progress
        watched: tuple[float, float] | tuple[None, None] = (None, None)
        seen = None
        if watch is not None:
            logits = _answer_together(self.network, watch, self.recipe, self.device, self.size, group)
            if group.leads:
                watched = loss_and_accuracy(logits, watch, self.criterion)
                seen = logits, watch.targets[watch.rows], watch.rows
        progress.seconds, stopping, _ = group.agree(time.monotonic() - self.began, stop.requested, False)
        done = Epoch(
            progress.epoch + 1,
            progress.epoch * self.schedule.steps + progress.step,
            progress.seconds,
            self.lr,
            progress.loss_sum / progress.images,
            progress.correct / progress.images,
            *watched,
        )
        took = done.seconds - (progress.history[-1].seconds if progress.history else 0.0)
        self.progress = Progress(done.epoch, 0, progress.seconds, history=[*progress.history, done])
        if group.leads:
            _save_sound(self.folder, self.network, self.optimiser, self.progress)
            write_history(self.run / runfolder.HISTORY, self.progress.history)
            write_snapshot(self.run, done.epoch, self.network, seen, self.criterion)
            self.live.epoch(done, took, self.recipe.watch)
        return done, stopping


def _batches(
    count: int, steps: int, progress: Progress, recipe: Recipe
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.bool_]]]:
    """Yield (step, positions of the images, which are mirrored) for the steps of this epoch that have not been taken yet."""
    order = np.random.default_rng([recipe.seed, progress.epoch]).permutation(count)
    mirrored = np.zeros(count, bool)
    if any(step.name == "mirror" for step in read_augment(recipe.augment)):
        # each image is mirrored every other epoch: no pair of epochs shows it twice the same way
        mirrored = np.random.default_rng([recipe.seed, 1 << 34]).random(count) < 0.5
        mirrored ^= bool(progress.epoch % 2)
    for step, rows in enumerate(np.array_split(order, steps)):
        if step >= progress.step:
            yield step, rows, mirrored[rows]


def _see(unseen: list[tuple[Tensor, Tensor, int]], progress: Progress, folder: Path, group: ProcessGroup) -> None:
    """Add the steps' losses to the epoch's and forget them; raises WorkError when one is not a number."""
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
    """Save a checkpoint, unless the last step has ruined the weights."""
    if not all(torch.isfinite(tensor).all() for tensor in network.state_dict().values()):
        raise _not_finite(progress.epoch, progress.step, folder)
    try:
        save_checkpoint(folder, network, optimiser, progress)
    except WorkError as error:
        raise WorkError(f"{error} Then continue with: mirante train --resume --out {folder.parent}") from error


def _of(epoch: int, schedule: Schedule) -> str:
    return f"{epoch} of {schedule.epochs}" if schedule.epochs else str(epoch)


def _stopped(where: str, run: Path) -> Stopped:
    if run.parent.name == runfolder.FOLDS:  # the run as a whole goes on with this fold
        run = run.parents[1]
    return Stopped(f"Stopped {where}; nothing is lost. Continue with: mirante train --resume --out {run}")


def _not_finite(epoch: int, step: int, folder: Path) -> WorkError:
    kept = f"; the last good checkpoint is kept in {folder}" if folder.is_dir() else ""
    return WorkError(
        f"Epoch {epoch + 1}, step {step + 1}: the loss is no longer a number, so training stopped{kept}. A lower learning "
        "rate usually fixes this: --learning-rate."
    )
