"""Training with several processes, started by torchrun: the first one does everything, the others help with each `fit`.

All of them call `mirante.train` with the same arguments. The first one runs it; the others wait for its messages: where the
images are, then what to fit each network with, then the end. They need the images, but no run folder.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.errors import MiranteError, RequestError, WorkError, require_training
from mirante.experiment.training import Training
from mirante.images import Pixels
from mirante.model_info import ModelInfo
from mirante.rendering import Rendering
from mirante.resize import Fit
from mirante.run import Run
from mirante.torchrun import started_by_torchrun
from mirante.training.recipe import Recipe

if TYPE_CHECKING:
    from mirante.training.process_group import ProcessGroup

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class _Data:
    """Where the images are, and how they are shown to the network."""

    location: str
    options: dict[str, Any]
    paths: tuple[str, ...]
    size: tuple[int, int]
    channels: Literal[1, 3]
    fit: Fit
    rendering: Rendering


@dataclass(frozen=True)
class _Fit:
    """A network to fit: the targets of all images, and the rows to train on and to watch."""

    run: str
    recipe: Recipe
    info: ModelInfo
    targets: NDArray[np.int64]
    train: NDArray[np.int64]
    watch: NDArray[np.int64] | None


@dataclass(frozen=True)
class _Place:
    """A machine's copy of the images.

    digest  of all of them in order
    file    where their pixels are
    failed  the rows that could not be decoded
    """

    machine: int
    host: str
    digest: str
    file: str
    failed: tuple[int, ...]


def led_by_rank_zero(train: Callable[Arguments, Run]) -> Callable[Arguments, Run]:
    """Have the first process that torchrun started run this, and the others help; all return the same Run.

    Without torchrun, it is simply called.
    """

    @wraps(train)
    def led(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Run:
        require_training()
        if not started_by_torchrun():
            return train(*args, **kwargs)
        from mirante.training import process_group

        if process_group.current() is not process_group.ALONE:  # a resumed training within a training
            return train(*args, **kwargs)
        device = str(kwargs.get("device", "auto"))
        own = process_group.init(device)
        try:
            run = own.broadcast(train(*args, **kwargs)) if own.leads else _help(own, device)
        except BaseException as error:
            process_group.claim(error)
            raise
        process_group.leave()
        return run

    return led


def remember(run: Path) -> None:
    """Let a training that torchrun restarts find its run folder."""
    if started_by_torchrun():
        from mirante.training import process_group

        process_group.remember(str(run))


def begun_before() -> str | None:
    """Return the run folder that this training had before torchrun restarted it, or None."""
    if not started_by_torchrun():
        return None
    from mirante.training import process_group

    return process_group.begun()


def load(dataset: Dataset, info: ModelInfo) -> tuple[Dataset, Pixels]:
    """Return what `Dataset.load` does, and have every machine of the training decode the images too.

    Raises WorkError when another machine has other images.
    """
    from mirante.training.process_group import current

    group = current()
    if group.world_size == 1:
        return dataset.load(info.size, info.channels, info.fit, info.rendering)
    shown = info.size, info.channels, info.fit, info.rendering
    group.broadcast(_Data(dataset.location, dataset.options, dataset.paths, *shown))
    pixels, failed = dataset.decode(*shown)
    own = _place(group, dataset, pixels, failed)
    for place in group.all_gather(own):
        if place is not None and place.digest != own.digest:
            raise WorkError(
                f"{dataset.location}: the images on {place.host} differ from those on {own.host}; give all machines the same."
            )
    return dataset.without(pixels, failed)


def broadcast_fit(training: Training, watch: NDArray[np.int64] | None) -> None:
    """Have the other processes join the following `fit`, on the `train` images of the data set."""
    from mirante.training.process_group import current

    if current().world_size > 1:
        dataset = training.dataset
        rows = dataset.rows("train")
        current().broadcast(_Fit(str(training.folder), training.recipe, training.info, dataset.targets, rows, watch))


def _help(group: ProcessGroup, device: str) -> Run:
    """Take part in every `fit` that the first process asks for, until it sends the finished run."""
    from mirante.experiment.fit_network import new_network
    from mirante.training.engine import Images, hold
    from mirante.training.loop import fit
    from mirante.training.process_group import LostError

    pixels: Pixels | None = None
    try:
        while True:
            message: _Data | _Fit | Run = group.broadcast(None)
            if isinstance(message, Run):
                return message
            if isinstance(message, _Data):
                pixels = _decode(group, message)
                continue
            assert pixels is not None
            network, place = new_network(message.recipe, message.info, device)
            train = Images(hold(pixels, place), message.targets, message.train)
            watch = None if message.watch is None else Images(pixels, message.targets, message.watch)
            try:
                fit(network, train, watch, message.recipe, message.info.asks.criterion(), Path(message.run), place)
            except LostError:
                raise
            except MiranteError:  # it is raised in all of them, and the first one reports it
                group.broadcast(None)
    except RequestError as error:  # the user's request itself was valid
        raise WorkError(f"process {group.rank} on {socket.gethostname()}: {error}") from error


def _decode(group: ProcessGroup, data: _Data) -> Pixels:
    """Return the pixels; the first process of each machine decodes them, the others on it find them in the cache."""
    own = None
    if group.local_rank == 0:
        dataset = Dataset.open(data.location, **{**data.options, "val_share": 0.0}).only(
            data.paths
        )  # splits come with each fit
        own = _place(group, dataset, *dataset.decode(data.size, data.channels, data.fit, data.rendering))
    place = next(one for one in group.all_gather(own) if one is not None and one.machine == group.machine)
    pixels: Pixels = np.load(place.file, mmap_mode="r")
    return np.delete(pixels, place.failed, axis=0) if place.failed else pixels


def _place(group: ProcessGroup, dataset: Dataset, pixels: Pixels, failed: dict[str, str]) -> _Place:
    digest = hashlib.sha256("".join(dataset.digests).encode()).hexdigest()
    rows = tuple(row for row, path in enumerate(dataset.paths) if path in failed)
    assert isinstance(pixels, np.memmap)
    return _Place(group.machine, socket.gethostname(), digest, str(pixels.filename), rows)
