"""Many images from anywhere, answered in order: files, folders, archives, a list. Memory does not grow with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from mirante.data.archives import ARCHIVE_SUFFIXES, ArchiveSource
from mirante.data.entries import Skipped
from mirante.data.folders import FolderSource
from mirante.errors import DataError, ImageError
from mirante.images import Pixels
from mirante.prediction.onnx_model import BATCH

T = TypeVar("T")
Told = TypeVar("Told", covariant=True)


class Answering(Protocol[Told]):
    """What answers: a Classifier with a Prediction, a Reader with a Reading."""

    def pixels(self, picture: Path | bytes) -> Pixels:
        """Return an image as the network takes it."""

    def answer(self, batch: list[tuple[str | None, Pixels]], coverage: float | None = None) -> Iterator[Told]:
        """Yield the answers for images of the input size, each with its path."""


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What a model says of one image, and the pixels that the network saw, uint8 (H, W, C)."""

    prediction: T
    pixels: Pixels


_PART = 16

Named = tuple[str, Path | bytes | Skipped | Callable[[], bytes]]
"""An image's path, and its file, its bytes, what fetches its bytes (or raises ImageError), or why there are none."""


def find_images(words: Iterable[str]) -> Iterator[Named]:
    """Yield (path, file or bytes) for every image that the words name: files, folders with all in them, archives.

    Raises DataError when a word names nothing at all.
    """
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            for entry in FolderSource(path).entries():
                assert isinstance(entry.payload, Path)
                yield str(path / entry.path), entry.payload
        elif path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file():
            for entry in ArchiveSource(path).entries():
                reason = None if entry.error is None else Skipped(f"{word}:{entry.path}", entry.error)
                assert isinstance(entry.payload, bytes)
                yield f"{word}:{entry.path}", reason or entry.payload
        elif not path.exists():
            raise DataError(
                f"{word}: no such file or folder; give images, folders or archives, or - for a list on stdin."
            )
        else:
            yield word, path


def predict_stream(
    model: Answering[T], images: Iterable[Named], coverage: float | None = None, readers: int = 0
) -> Iterator[Answer[T] | Skipped]:
    """Yield an answer for each image in order; those that cannot be read come as Skipped and stop nothing.

    coverage  also tell the plausible classes; see Classifier.predict
    readers   images that are fetched at the same time; 0 takes a thread a core, for files on this machine
    """
    remaining = iter(images)

    def read(named: Named) -> tuple[str | None, Pixels] | Skipped:
        path, payload = named
        if isinstance(payload, Skipped):
            return payload
        try:
            return path, model.pixels(payload() if callable(payload) else payload)
        except ImageError as error:
            return Skipped(path, str(error))

    def read_next() -> list[Future[list[tuple[str | None, Pixels] | Skipped]]]:
        """Have the next batch read, a few images a thread at a time: handing over costs as much as a small image."""
        batch = list(islice(remaining, BATCH))
        parts = [batch[start : start + part] for start in range(0, len(batch), part)]
        return [pool.submit(lambda part: [read(named) for named in part], part) for part in parts]

    part = max(1, BATCH // readers) if readers else _PART
    # threads: decoding a photo releases Python's lock, and the network runs on its own threads meanwhile
    with ThreadPoolExecutor(readers or os.cpu_count() or 1) as pool:
        following = read_next()
        while following:
            current = [one for future in following for one in future.result()]
            following = read_next()
            answers = model.answer([one for one in current if not isinstance(one, Skipped)], coverage)
            for one in current:
                yield one if isinstance(one, Skipped) else Answer(next(answers), one[1])
