"""Real images to try an export on, and how far it is from model.onnx on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante.data.partition import spread
from mirante.data.sources import images_of
from mirante.errors import MiranteError, RequestError, WorkError
from mirante.images import Pixels, read_image
from mirante.prediction.onnx_model import OnnxModel
from mirante.run import Run

TOLERANCE = 1e-4
"""The largest difference in any probability at which an export is handed over."""

COUNT = 200


@dataclass(frozen=True)
class Tried:
    """Images that an export is tried on.

    pictures  as they are stored: encoded bytes, or pixels uint8 (H, W, C)
    pixels    (N, height, width, channels), as model.onnx takes them
    targets   (N, …), where they are known
    """

    pictures: list[bytes | Pixels]
    pixels: Pixels
    targets: NDArray[np.int64] | None


def images_to_try(
    model: OnnxModel, run: Run, folder: str | Path | None, split: str = "test", count: int = COUNT
) -> Tried:
    """Return some of the run's own images of a split, or those of a folder. Raises RequestError when there are none."""
    if folder is not None:
        entries = [entry.content for entry in images_of([str(folder)])]
        return _read(model, entries[:: max(1, len(entries) // count)][:count], None, str(folder))
    try:
        dataset = run.dataset()
    except MiranteError as error:
        raise RequestError(
            f"{run.path}: its images can no longer be opened ({error}) Name others to try the export on: --images FOLDER"
        ) from error
    rows = dataset.rows(split)
    if not len(rows):  # with folds there are no test images of their own
        rows = np.arange(len(dataset))
    rows = spread(rows, count)
    known = set(run.digests.values())
    if strange := [dataset.paths[row] for row in rows if dataset.digests[row] not in known]:
        raise RequestError(
            f"{dataset.location}: {strange[0]} is not an image of {run.path}; name images to try the export on: --images FOLDER"
        )
    wanted = {dataset.paths[row]: row for row in rows}
    found = {entry.path: entry.content for entry in dataset.source.entries() if entry.path in wanted}
    return _read(model, [found[path] for path in wanted], dataset.targets[list(wanted.values())], dataset.location)


def _read(
    model: OnnxModel, readers: Sequence[Callable[[], bytes | Pixels]], targets: NDArray[np.int64] | None, where: str
) -> Tried:
    kept, pictures, pixels = [], [], []
    for number, read in enumerate(readers):
        try:
            picture = read()
            pixels.append(model.pixels(picture))
            pictures.append(picture)
            kept.append(number)
        except MiranteError:
            continue
    if not kept:
        raise RequestError(f"{where}: contains no readable image; name others to try the export on: --images FOLDER")
    return Tried(pictures, np.stack(pixels), None if targets is None else targets[kept])


def largest_difference(model: OnnxModel, tried: Tried, answer: Callable[[Pixels], NDArray[np.floating]]) -> float:
    """Return the largest difference in any probability between model.onnx and `answer`, which takes pixels (N, H, W, C)."""
    return float(np.abs(model.run(tried.pixels).probabilities - answer(tried.pixels)).max())


def whole_sizes(tried: Tried, model: OnnxModel) -> list[Pixels]:
    """Return the images at their own sizes, decoded, with the model's channels."""
    return [
        read_image(picture, None, model.info.channels, rendering=model.info.rendering) for picture in tried.pictures
    ]


def require_agreement(difference: float, tolerance: float, form: str) -> None:
    """Raise WorkError unless an export agrees with the model."""
    if not difference <= tolerance:
        raise WorkError(
            f"The export as {form} does not agree with model.onnx: probabilities differ by up to {difference:.2g}, more than "
            f"{tolerance:g}. It was not kept; please report this with the network that was trained."
        )
