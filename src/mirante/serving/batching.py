"""Dynamic batching: images of many requests go through the network together, and none waits for others to arrive.

One thread per model takes what is in the queue, at most a batch, runs it, and hands each image its answer. So batches are large
under load, and hold one image when one client asks. The queue is bounded: a full queue refuses at once, since waiting longer
than the timeout would be in vain.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from mirante.images import Pixels
from mirante.prediction.model import Model
from mirante.prediction.onnx_model import BATCH, Output


class QueueFullError(Exception):
    """There is no room for the images of a request."""


@dataclass
class _Waiting:
    """Images of one request, and whom to tell; `until` is a time of time.monotonic."""

    pixels: Sequence[Pixels]
    until: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Output]


class Batcher:
    """Runs a model for many requests at once.

    room       images that may wait
    note_batch  called with the number of images of each batch and the seconds it took
    """

    def __init__(self, model: Model, room: int, note_batch: Callable[[int, float], None]) -> None:
        self.model = model
        self._room, self._note = room, note_batch
        self._waiting: deque[_Waiting] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return self._count

    async def run(self, pixels: Sequence[Pixels], until: float) -> Output:
        """Return what the network answers; raises QueueFullError at once, or TimeoutError when the time `until` is reached."""
        loop = asyncio.get_running_loop()
        one = _Waiting(pixels, until, loop, loop.create_future())
        with self._changed:
            if self._closed or self._count + len(pixels) > self._room:
                raise QueueFullError
            self._waiting.append(one)
            self._count += len(pixels)
            self._changed.notify()
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            return await one.answer

    def close(self) -> None:
        """Accept no more, finish what is waiting, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                batch = [self._waiting.popleft()]
                while self._waiting and sum(len(one.pixels) for one in batch) + len(self._waiting[0].pixels) <= BATCH:
                    batch.append(self._waiting.popleft())
                self._count -= sum(len(one.pixels) for one in batch)
            alive = [one for one in batch if one.until > time.monotonic() and not one.answer.cancelled()]
            if alive:
                self._answer(alive)

    def _answer(self, batch: list[_Waiting]) -> None:
        began = time.perf_counter()
        try:
            found = self.model.run(np.stack([image for one in batch for image in one.pixels]))
        except Exception as error:  # whatever it is, those waiting must hear of it, and the next batch must still run
            for one in batch:
                _tell(one, error)
            return
        with suppress(Exception):  # what cannot be counted is answered all the same
            self._note(len(found), time.perf_counter() - began)
        start = 0
        for one in batch:
            end = start + len(one.pixels)
            _tell(one, found.only(slice(start, end)))
            start = end


def _tell(one: _Waiting, outcome: Output | Exception) -> None:
    def settle() -> None:
        if one.answer.done():  # the timeout came first
            return
        if isinstance(outcome, Exception):
            one.answer.set_exception(outcome)
        else:
            one.answer.set_result(outcome)

    with suppress(RuntimeError):  # the server has ended meanwhile
        one.loop.call_soon_threadsafe(settle)
