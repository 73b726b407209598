"""Many images from anywhere, answered in order, read on all cores while the network works. Memory does not grow with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from mirante.data.entries import Entry, Skipped
from mirante.errors import ImageError
from mirante.images import Pixels
from mirante.prediction.onnx_model import BATCH
from mirante.task import Answer

if TYPE_CHECKING:
    from mirante.prediction.model import Model

_PART = 16

Read = tuple[str | None, Pixels]


def predict_stream(
    model: Model, entries: Iterable[Entry], coverage: float | None = None, readers: int = 0
) -> Iterator[tuple[str | None, Answer | Skipped, Pixels | None]]:
    """Yield for each image in order its path, the answer, and the pixels that the network saw, uint8 (H, W, C).

    An image that cannot be read is yielded as Skipped, without pixels, and stops nothing.

    coverage  also tell the prediction sets; see Model.predict
    readers   images fetched at the same time; 0 takes one thread per core, for files on this machine
    """
    remaining = iter(entries)

    def read(entry: Entry) -> Read | Skipped:
        try:
            if entry.error is not None:
                raise ImageError(entry.error)
            return entry.path or None, model.pixels(entry.content())
        except ImageError as error:
            return Skipped(entry.path, str(error))

    def read_next() -> list[Future[list[Read | Skipped]]]:
        """Have the next batch read, a few images per thread at a time: handing over costs as much as a small image."""
        batch = list(islice(remaining, BATCH))
        parts = [batch[start : start + part] for start in range(0, len(batch), part)]
        return [pool.submit(lambda part: [read(entry) for entry in part], part) for part in parts]

    part = max(1, BATCH // readers) if readers else _PART
    # threads: decoding a photo releases Python's lock, and the network runs on its own threads meanwhile
    with ThreadPoolExecutor(readers or os.cpu_count() or 1) as pool:
        following = read_next()
        while following:
            current = [one for future in following for one in future.result()]
            following = read_next()
            answers = model.answer([one for one in current if not isinstance(one, Skipped)], coverage)
            for one in current:
                if isinstance(one, Skipped):
                    yield one.path or None, one, None
                else:
                    yield one[0], next(answers), one[1]
