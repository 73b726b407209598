"""Many images from anywhere, answered in order, read on all cores while the network works. Memory does not grow with them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from mirante.data.entries import Entry, Skipped
from mirante.errors import ImageError
from mirante.images import Pixels
from mirante.prediction.onnx_model import BATCH, OnnxModel, Output
from mirante.task import Answer

if TYPE_CHECKING:
    from mirante.prediction.model import Model

_PART = 16

Seen = tuple[str | None, Pixels] | Skipped
"""The path and the pixels of an image, or why it cannot be read."""


def predict_stream(
    model: Model,
    entries: Iterable[Entry],
    coverage: float | None = None,
    readers: int = 0,
    note: Callable[[list[str | None], Output, list[Answer]], None] | None = None,
) -> Generator[tuple[str | None, Answer | Skipped, Pixels | None], None, None]:
    """Yield for each image in order its path, the answer, and the pixels that the network saw, uint8 (H, W, C).

    An image that cannot be read is yielded as Skipped, without pixels, and stops nothing.

    coverage  also tell the prediction sets; see Model.predict
    readers   images fetched at the same time; 0 takes one thread per core, for files on this machine
    note      told the paths, the output and the answers of some images at a time
    """
    remaining = iter(entries)
    cores = model.threads or os.cpu_count() or 1
    first = list(islice(remaining, BATCH))
    several = chain(first, remaining)
    if readers or cores == 1 or len(first) < BATCH:
        made = _one_after_the_other(model, several, readers)
    else:
        made = _on_every_core(model, several, cores)
    for seen, found in made:
        paths = [one[0] for one in seen if not isinstance(one, Skipped)]
        told = [] if found is None else list(model.tell(found, paths, coverage))
        if note is not None and found is not None:
            note(paths, found, told)
        answers = iter(told)
        for one in seen:
            if isinstance(one, Skipped):
                yield one.path or None, one, None
            else:
                yield one[0], next(answers), one[1]


def _on_every_core(model: Model, entries: Iterable[Entry], cores: int) -> Iterator[tuple[list[Seen], Output | None]]:
    """Yield images and the network's output, some at a time; each core reads and answers its own, and waits for no other."""
    single, remaining = model.on_one_thread(), iter(entries)

    def work(part: list[Entry]) -> tuple[list[Seen], Output | None]:
        seen = [_read(model, entry) for entry in part]
        return seen, _output(single, seen)

    with ThreadPoolExecutor(cores) as pool:
        part = max(2, min(_PART, BATCH // cores))  # each core holds what its network makes of them
        parts = iter(lambda: list(islice(remaining, part)), [])
        running = deque(pool.submit(work, part) for part in islice(parts, 2 * cores))
        while running:
            done = running.popleft().result()
            running.extend(pool.submit(work, part) for part in islice(parts, 1))
            yield done


def _one_after_the_other(
    model: Model, entries: Iterable[Entry], readers: int
) -> Iterator[tuple[list[Seen], Output | None]]:
    """Yield images and the network's output, a batch at a time; the next batch is read while the network has all the cores."""
    remaining = iter(entries)
    part = max(1, BATCH // readers) if readers else _PART

    def read_next() -> list[Future[list[Seen]]]:
        """Have the next batch read, a few images per thread at a time: handing over costs as much as a small image."""
        batch = list(islice(remaining, BATCH))
        parts = [batch[start : start + part] for start in range(0, len(batch), part)]
        return [pool.submit(lambda part: [_read(model, entry) for entry in part], part) for part in parts]

    # threads: decoding a photo releases Python's lock, and the network runs on its own threads meanwhile
    with ThreadPoolExecutor(readers or os.cpu_count() or 1) as pool:
        following = read_next()
        while following:
            current = [one for future in following for one in future.result()]
            following = read_next()
            yield current, _output(model, current)


def _read(model: Model, entry: Entry) -> Seen:
    try:
        if entry.error is not None:
            raise ImageError(entry.error)
        return entry.path or None, model.pixels(entry.content())
    except ImageError as error:
        return Skipped(entry.path, str(error))


def _output(model: OnnxModel, seen: list[Seen]) -> Output | None:
    pixels = [one[1] for one in seen if not isinstance(one, Skipped)]
    return model.run(np.stack(pixels)) if pixels else None
