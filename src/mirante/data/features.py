"""What a backbone says of each image, kept by the image's content: a new photo costs only itself.

A folder for each backbone, input size and fit; in it, files that never change once they are there: the digests of some
images, and their features in the same order.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mirante.data.cache import cache_folder
from mirante.files import write_file

Features = NDArray[np.float32]


def known_or_new(key: str, digests: Sequence[str], compute: Callable[[list[int]], Features]) -> Features:
    """Return the features (N, width) of N images, computing only those that were never seen under this key.

    key      what the features depend on besides the image: backbone, weights, input size, fit
    digests  of the images' content
    compute  given row numbers, returns their features; asked once, or not at all
    """
    folder = cache_folder() / "features" / hashlib.sha256(key.encode()).hexdigest()[:32]
    known: dict[str, Features] = {}
    for file in folder.glob("*.npz"):
        try:
            with np.load(file, allow_pickle=False) as stored:
                known.update(zip(stored["digests"].tolist(), stored["features"], strict=True))
        except (OSError, ValueError, KeyError, BadZipFile):  # damaged: computed again
            continue
    new = list({digest: row for row, digest in enumerate(digests) if digest not in known}.values())
    if new:
        features = compute(new)
        names = [digests[row] for row in new]
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{uuid.uuid4().hex}.npz", lambda part: _save(part, names, features))
        known.update(zip(names, features, strict=True))
    return np.stack([known[digest] for digest in digests])


def _save(path: Path, names: list[str], features: Features) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, digests=np.array(names), features=features)


def unit_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Return vectors (N, width) as directions, each of length 1; one of no length stays 0."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[Any] = values / np.maximum(length, 1e-12)
    return unit
