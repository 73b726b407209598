"""A backbone's features of each image, cached by the image's content, so that only new photos are computed.

One folder per backbone, input size and fit, with files that never change once written: the digests of some
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

from mirante.files import write_file
from mirante.places import cache_folder

Features = NDArray[np.float32]


def known_or_new(key: str, digests: Sequence[str], compute: Callable[[list[int]], Features]) -> Features:
    """Return the features (N, width) of N images, computing only those not yet stored under this key.

    key      what the features depend on besides the image: backbone, weights, input size, fit
    digests  of the images' content
    compute  given row numbers, returns their features; called once, or not at all. A row of NaN failed, and is not kept
    """
    folder = cache_folder() / "features" / hashlib.sha256(key.encode()).hexdigest()[:32]
    known: dict[str, Features] = {}
    for file in folder.glob("*.npz"):
        try:
            with np.load(file, allow_pickle=False) as stored:
                known.update(zip(stored["digests"].tolist(), stored["features"], strict=True))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # damaged: computed again
            continue
    new = list({digest: row for row, digest in enumerate(digests) if digest not in known}.values())
    if new:
        features = compute(new)
        names = [digests[row] for row in new]
        known.update(zip(names, features, strict=True))
        sound = np.flatnonzero(~np.isnan(features).any(axis=1))
        names, features = [names[row] for row in sound], features[sound]
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / f"{uuid.uuid4().hex}.npz", lambda part: _save(part, names, features))
    return np.stack([known[digest] for digest in digests])


def _save(path: Path, names: list[str], features: Features) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, digests=np.array(names), features=features)


def unit_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Return vectors (N, width) scaled to length 1; zero vectors stay zero."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    unit: NDArray[Any] = values / np.maximum(length, 1e-12)
    return unit
