"""The processes that torchrun starts for one training: which share of a step each takes, and how they agree.

The first one leads: it reads, chooses, writes and judges as if it were alone. The others take part in every `fit` and write nothing.
A step is the same for one process and for many: the batch, what is drawn for it, its mean loss and the statistics of batch
normalisation are those of all its images, of which each process takes its share. So the learning curve is the same but for rounding.
"""

from __future__ import annotations

import os
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mirante.errors import MiranteError, WorkError
from mirante.model.network import Network
from mirante.model.notation import is_own_code
from mirante.training.recipe import Recipe
from mirante.training.sync_batchnorm import share_statistics

_STEP = timedelta(minutes=30)  # a step, with a checkpoint or the measurement of an epoch in between
_WORD = timedelta(days=7)  # what the first process does alone: reading the images, evaluating
_STORE = timedelta(seconds=20)

Value = TypeVar("Value")


class LostError(WorkError):
    """Another process of this training has ended."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process among those of its training.

    rank, world_size  its number from 0 among all, and how many there are
    local_rank  its number on this machine, from 0
    machine     the number of this machine
    words       the channel for what is not part of a step
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    machine: int = 0
    words: Any = None

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """Return which of `count` things are this process's; the shares differ by at most one."""
        each, more = divmod(count, self.world_size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def broadcast(self, value: Value | None) -> Value:
        """Return the value given by the first process; the others give None."""
        box = [value]
        if self.world_size > 1:
            with self.raise_if_peer_lost():
                dist.broadcast_object_list(box, 0, self.words)
        assert box[0] is not None
        return box[0]

    def all_gather(self, value: Value) -> list[Value]:
        """Return the values of all processes, in order."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        with self.raise_if_peer_lost():
            dist.all_gather_object(values, value, self.words)
        return values

    def all_reduce(self, values: Tensor) -> Tensor:
        """Return the sums (CPU) over all processes."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, seconds: float, stop: bool, save: bool) -> tuple[float, bool, bool]:
        """Return what holds for all after a step: the first one's clock, whether anyone asked to stop, whether the first one saves."""
        if self.world_size == 1:
            return seconds, stop, save
        led = [seconds, float(save)] if self.leads else [0.0, 0.0]
        now, saves, stops = self.all_reduce(torch.tensor([*led, float(stop)], dtype=torch.float64)).tolist()
        return now, stops > 0, saves > 0

    def together(self, network: Network, recipe: Recipe, device: torch.device) -> nn.Module:
        """Return what is called with (images, size) for logits; in `backward` the gradients become the mean over all processes."""
        look = _Look(network)
        if self.world_size == 1:
            return look
        from torch.nn.parallel import DistributedDataParallel

        share_statistics(network)
        warnings.filterwarnings(
            "ignore", "Grad strides do not match"
        )  # of 1×1 kernels, which lie the same way in both layouts
        return DistributedDataParallel(
            look,
            [device.index] if device.type == "cuda" else None,
            find_unused_parameters=is_own_code(recipe.layers),
        )

    @contextmanager
    def raise_if_peer_lost(self) -> Iterator[None]:
        """Raise LostError when another process has ended in the meantime."""
        try:
            yield
        except RuntimeError as error:
            if self.world_size == 1 or not _is_lost(error):
                raise
            again = int(os.environ["TORCHELASTIC_RESTART_COUNT"]) < int(os.environ["TORCHELASTIC_MAX_RESTARTS"])
            run = begun()
            if again:
                then = "torchrun restarts them from the last checkpoint."
            elif run:
                then = f"The last checkpoint is kept; continue with: mirante train --resume --out {run}"
            else:
                then = "Nothing was trained yet."
            raise LostError(f"A process of this training ended, so all have stopped. {then}") from error


ALONE = ProcessGroup()
_here = ALONE
_trainings = 0  # in this process; a script may run several


def current() -> ProcessGroup:
    """Return this process among those of its training; ALONE where there is only one."""
    return _here


def init(device: str) -> ProcessGroup:
    """Meet the other processes that torchrun started."""
    global _here, _trainings
    _trainings += 1
    number = {
        name: int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE")
    }
    words = None
    if number["WORLD_SIZE"] > 1:
        if os.environ.get("OMP_NUM_THREADS") == "1":  # torchrun's own default when the user set none
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // number["LOCAL_WORLD_SIZE"]))
        on_gpus = torch.cuda.is_available() and device != "cpu"
        if on_gpus:
            torch.cuda.set_device(number["LOCAL_RANK"] % torch.cuda.device_count())
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
            store=_fresh_store(number["RANK"], number["WORLD_SIZE"]),
            rank=number["RANK"],
            world_size=number["WORLD_SIZE"],
            timeout=_STEP,
        )
        words = dist.new_group(backend="gloo", timeout=_WORD)
    _here = ProcessGroup(number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"], number["GROUP_RANK"], words)
    return _here


def leave() -> None:
    """Leave the other processes."""
    global _here
    _here = ALONE
    if dist.is_initialized():
        dist.destroy_process_group()


def remember(run: str) -> None:
    """Record the run folder of this training in torchrun's store, so that a restart finds it."""
    store = _store()
    if store is not None:
        store.set(_key(f"run {_trainings}"), run)


def begun() -> str | None:
    """Return the run folder that this training had made before torchrun restarted it, or None."""
    store = _store()
    key = _key(f"run {_trainings}")
    if store is None or not store.check([key]):
        return None
    run: str = store.get(key).decode()
    return run


def claim(error: BaseException) -> None:
    """Let only one process tell the user why the training ended: the first one that asks."""
    store = _store()
    restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if store is not None and store.add(_key(f"told {restart}"), 1) > 1 and isinstance(error, MiranteError):
        error.told = True


def _fresh_store(rank: int, size: int) -> Any:
    """Return a part of torchrun's store for these processes alone.

    The store outlives restarts, and with it the addresses of processes that have ended; how often each machine was restarted tells
    nothing to the others. So each process asks with a unique word, and the first one answers with a number never used before.
    """
    store = _store()
    assert store is not None, "torchrun keeps a store"
    own = uuid.uuid4().hex
    if rank > 0:
        store.set(_key(f"asks {rank}"), own)
        store.wait([_key(f"answer {own}")], _STEP)
        number = store.get(_key(f"answer {own}")).decode()
        store.set(_key(f"joined {number} {rank}"), "")
    else:
        number = store.add(_key("meetings"), 1)
        missing = set(range(1, size))
        until = time.monotonic() + _STEP.total_seconds()
        while missing and time.monotonic() < until:
            for other in sorted(missing):
                if store.check([_key(f"joined {number} {other}")]):
                    missing.discard(other)
                elif store.check([_key(f"asks {other}")]):
                    store.set(_key(f"answer {store.get(_key(f'asks {other}')).decode()}"), str(number))
            time.sleep(0.02)
        if missing:
            raise WorkError(f"processes {', '.join(map(str, sorted(missing)))} of {size} did not connect.")
    return dist.PrefixStore(_key(str(number)), store)  # type: ignore[attr-defined]


def _store() -> Any:
    """Return torchrun's own store, which outlives every process of the training; None if it keeps none."""
    try:
        return dist.TCPStore(  # type: ignore[attr-defined]
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timeout=_STORE
        )
    except RuntimeError:  # torchrun itself has ended
        return None


def _key(name: str) -> str:
    return f"mirante/{os.environ['TORCHELASTIC_RUN_ID']}/{name}"


def _is_lost(error: RuntimeError) -> bool:
    """Tell whether torch failed because another process is missing; gloo's errors have no class of their own."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in ("gloo", "nccl", "connection"))


class _Look(nn.Module):
    """The network as it is trained: one look at the images."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, size: tuple[int, int] | None) -> Tensor:
        return self.network.look(images, size)
