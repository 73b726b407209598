"""Records the answers of one model: a row for each image in its log, and some of the pictures if the user asks for them."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mirante.data.entries import Entry, Skipped
from mirante.images import Pixels
from mirante.monitoring.log import Log
from mirante.monitoring.pictures import Sample
from mirante.prediction.model import Model
from mirante.prediction.onnx_model import Output
from mirante.prediction.stream import predict_stream
from mirante.task import Answer


class Recorder:
    """Records what a model answers. The model is opened with its features, so that its images can be compared later."""

    def __init__(self, model: Model, folder: str | Path, megabytes: int, keep_images: int = 0) -> None:
        """Open the log in a folder. Raises RequestError as Log does."""
        self._model = model
        self._log = Log(folder, model.version, megabytes)
        self._sample = Sample(Path(folder).expanduser(), keep_images) if keep_images else None

    def add(
        self,
        contents: Sequence[Any],
        found: Output,
        answers: Sequence[Answer],
        pixels: Sequence[Pixels],
        subgroup: str = "",
    ) -> None:
        """Record answers to images: their bytes (or pixels), the network's output, and the pixels that it saw."""
        self._keep([_digest(one) for one in contents], found, answers, pixels, subgroup)

    def predict_stream(
        self, entries: Iterable[Entry], coverage: float | None, subgroup: str = ""
    ) -> Generator[tuple[str | None, Answer | Skipped, Pixels | None], None, None]:
        """Do what mirante.prediction.stream.predict_stream does, and record it."""
        digests: dict[str, deque[str]] = {}  # of each path, which may come twice
        lock = threading.Lock()

        def content(entry: Entry) -> Any:
            found = entry.content()
            with lock:
                digests.setdefault(entry.path, deque()).append(_digest(found))
            return found

        def take(path: str) -> str:
            waiting_there = digests.get(path, deque(("",)))
            found = waiting_there.popleft()
            if not waiting_there:
                digests.pop(path, None)
            return found

        def noted() -> Iterator[Entry]:
            for entry in entries:
                known = entry.error is None
                yield replace(entry, payload=partial(content, entry)) if known else entry

        waiting: list[tuple[list[str], Output, list[Answer]]] = []

        def note(paths: list[str | None], found: Output, answers: list[Answer]) -> None:
            with lock:
                names = [take(path or "") for path in paths]
            waiting.append((names, found, answers))

        seen: list[Pixels] = []
        try:
            for path, answer, pixels in predict_stream(self._model, noted(), coverage, note=note):
                if pixels is not None:
                    seen.append(pixels)
                elif path is not None:
                    with lock:  # one that could not be decoded is not recorded
                        take(path)
                while waiting and len(seen) >= len(waiting[0][0]):
                    names, found, answers = waiting.pop(0)
                    self._keep(names, found, answers, seen[: len(names)], subgroup)
                    del seen[: len(names)]
                yield path, answer, pixels
        finally:
            for names, found, answers in waiting:  # nobody reads on; they were answered all the same
                self._keep(names, found, answers, (), subgroup)

    def close(self) -> None:
        """Finish the log."""
        self._log.close()

    def _keep(
        self, digests: list[str], found: Output, answers: Sequence[Any], pixels: Sequence[Pixels], subgroup: str
    ) -> None:
        recorded = self._model.asks.recorded
        self._log.add(digests, found, [recorded(one) for one in answers], subgroup)
        if self._sample is not None and len(pixels):
            self._sample.add(digests, pixels, found.ood_scores.tolist())


def _digest(content: Any) -> str:
    data = content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes()
    return hashlib.sha256(data).hexdigest()
