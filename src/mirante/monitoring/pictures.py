"""A bounded sample of the pictures in use, kept only where the user asks: half at random, half those least like the training images.

Each is what the network saw, at its size, as images/DIGEST.png in the folder of the log.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mirante.errors import MiranteError
from mirante.files import write_bytes
from mirante.images import Pixels

FOLDER = "images"


class Sample:
    """Keeps at most so many pictures; a picture that is pushed out is removed. What cannot be written is not kept."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._half = folder / FOLDER, max(1, most // 2)
        # the random half are those with the smallest digests: a fair sample, and the same for any order and any process
        self._random: list[tuple[float, str]] = []
        self._strange: list[tuple[float, str]] = []
        self._lock = threading.Lock()
        for known in sorted(self._folder.glob("*.png")):
            heapq.heappush(self._random, (-_place(known.stem), known.stem))
        while len(self._random) > self._half:
            self._drop(heapq.heappop(self._random)[1])

    def add(self, digests: Sequence[str], pixels: Sequence[Pixels], scores: Sequence[float]) -> None:
        """Look at some pictures, uint8 (height, width, channels), and keep those that belong to the sample."""
        with self._lock, contextlib.suppress(OSError, MiranteError):
            for digest, picture, score in zip(digests, pixels, scores, strict=True):
                name = digest[:32]
                if any(name == kept for _, kept in (*self._random, *self._strange)):
                    continue
                wanted = [
                    self._offer(self._random, -_place(name), name),
                    self._offer(self._strange, float(score), name),
                ]
                if any(wanted):
                    self._folder.mkdir(parents=True, exist_ok=True)
                    write_bytes(self._folder / f"{name}.png", _png(picture))

    def _offer(self, heap: list[tuple[float, str]], rank: float, name: str) -> bool:
        if len(heap) < self._half:
            heapq.heappush(heap, (rank, name))
            return True
        if (rank, name) <= heap[0]:
            return False
        self._drop(heapq.heapreplace(heap, (rank, name))[1])
        return True

    def _drop(self, name: str) -> None:
        if not any(name == kept for _, kept in (*self._random, *self._strange)):
            (self._folder / f"{name}.png").unlink(missing_ok=True)


def _place(digest: str) -> float:
    try:
        return int(digest[:12], 16) / 16**12
    except ValueError:
        return 1.0


def _png(pixels: Pixels) -> bytes:
    image = np.asarray(pixels)
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
