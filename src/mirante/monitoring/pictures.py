"""A bounded sample of the pictures in use, kept only where the user asks: half at random, half those least like the training images.

Each is what the network saw, at its size, as images/DIGEST.png in the folder of the log.
"""

from __future__ import annotations

import contextlib
import heapq
import io
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mirante.errors import MiranteError
from mirante.files import write_bytes
from mirante.images import Pixels

FOLDER = "images"
_SCORE = "ood_score"
NAME = re.compile(r"[0-9a-f]{32}")


class Sample:
    """Keeps at most so many pictures; a picture that is pushed out is removed. What cannot be written is not kept."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._half = folder / FOLDER, max(1, most // 2)
        self._lock = threading.Lock()
        # the random half are those with the smallest digests: a fair sample, and the same for any order and any process
        found = {path.stem: _score(path) for path in sorted(self._folder.glob("*.png")) if NAME.fullmatch(path.stem)}
        known = {name: score for name, score in found.items() if score is not None}
        self._random = heapq.nlargest(self._half, ((-_place(name), name) for name in known))
        self._strange = heapq.nlargest(self._half, ((score, name) for name, score in known.items()))
        for heap in (self._random, self._strange):
            heapq.heapify(heap)
        for name in known:
            self._drop(name)

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
                    write_bytes(self._folder / f"{name}.png", _png(picture, float(score)))

    def _offer(self, heap: list[tuple[float, str]], rank: float, name: str) -> bool:
        if len(heap) < self._half:
            heapq.heappush(heap, (rank, name))
            return True
        if (rank, name) <= heap[0]:
            return False
        self._drop(heapq.heapreplace(heap, (rank, name))[1])
        return True

    def _drop(self, name: str) -> None:
        """Remove a picture that neither half holds."""
        if not any(name == kept for _, kept in (*self._random, *self._strange)):
            (self._folder / f"{name}.png").unlink(missing_ok=True)


def _place(digest: str) -> float:
    try:
        return int(digest[:12], 16) / 16**12
    except ValueError:
        return 1.0


def _png(pixels: Pixels, score: float) -> bytes:
    """Return a picture with its ood_score, by which it is known after a restart."""
    image = np.asarray(pixels)
    buffer, about = io.BytesIO(), PngInfo()
    about.add_text(_SCORE, f"{score:.6f}")
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def _score(path: Path) -> float | None:
    """Return the ood_score that a picture was kept with; None for a picture of somebody else, which is left alone."""
    try:
        with Image.open(path) as image:
            return float(image.info[_SCORE])
    except (OSError, ValueError, SyntaxError, KeyError):
        return None
