"""Where a network looked in a few images that it was not trained on: right answers, and the wrong ones it was surest of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.evaluation.plots.grids import heat_grid
from mirante.evaluation.plots.style import png, shorten
from mirante.experiment.fit_network import FittedNetwork
from mirante.files import write_bytes
from mirante.images import Pixels
from mirante.prediction.calibration import softmax
from mirante.see.attribution import grad_cam

_EACH = 4


def write_heatmaps(
    run: Path,
    taught: FittedNetwork,
    dataset: Dataset,
    pixels: Pixels,
    rows: NDArray[np.int64],
    logits: NDArray[np.float32],
) -> None:
    """Draw them into the plots of a run, where the network has feature maps to draw."""
    if (heat := _draw(taught, dataset, pixels, rows, logits)) is not None:
        (run / runfolder.PLOTS).mkdir(exist_ok=True)
        write_bytes(run / runfolder.PLOTS / runfolder.HEATMAPS, heat)


def _draw(
    taught: FittedNetwork, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], logits: NDArray[np.float32]
) -> bytes | None:
    """Return a PNG, with no words but names of classes, of what the network was asked; None where it has no feature maps.

    rows    of the data set, none of them trained on
    logits  (rows, classes) that it answered
    """
    shares = softmax(logits)
    predicted, sure = shares.argmax(axis=1), shares.max(axis=1)
    right = predicted == dataset.labels[rows]
    wrong = np.flatnonzero(~right)
    chosen = [
        *np.random.default_rng(0).permutation(np.flatnonzero(right))[:_EACH].tolist(),
        *wrong[np.argsort(-sure[wrong], kind="stable")][:_EACH].tolist(),
    ]
    network = taught.network.cpu()
    try:
        heats = [grad_cam(network, pixels[rows[one]], int(predicted[one])) for one in chosen]
    except (IndexError, RuntimeError):  # a network without convolutions, or one that keeps no gradients
        return None
    names = dataset.classes
    captions = [
        shorten(names[predicted[one]]) + ("" if right[one] else f" ({shorten(names[dataset.labels[rows[one]]])})")
        for one in chosen
    ]
    return png(heat_grid(pixels[rows[chosen]], heats, captions, right[chosen].tolist()))
