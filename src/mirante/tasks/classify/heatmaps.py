"""Where a network looked in a few images that it was not trained on: right answers, and the wrong ones it was surest of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.attribution import grad_cam
from mirante.evaluation.plots.fonts import numbered
from mirante.evaluation.plots.grids import heat_grid
from mirante.evaluation.plots.style import png, shorten
from mirante.images import Pixels
from mirante.model.network import Network
from mirante.prediction.calibration import softmax

_EACH = 4


def draw(
    network: Network, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], logits: NDArray[np.float32]
) -> bytes | None:
    """Return a PNG of where the network looked, with class names only; None if it has no feature maps.

    rows    rows of the data set, none of them trained on
    logits  (rows, classes), the network's answers
    """
    shares = softmax(logits)
    predicted, sure = shares.argmax(axis=1), shares.max(axis=1)
    right = predicted == dataset.targets[rows]
    wrong = np.flatnonzero(~right)
    chosen = [
        *np.random.default_rng(0).permutation(np.flatnonzero(right))[:_EACH].tolist(),
        *wrong[np.argsort(-sure[wrong], kind="stable")][:_EACH].tolist(),
    ]
    network = network.cpu()
    try:
        heats = [grad_cam(network, pixels[rows[one]], int(predicted[one])) for one in chosen]
    except (IndexError, RuntimeError):  # a network without convolutions, or one that keeps no gradients
        return None
    names = dataset.classes
    with numbered(names):
        captions = [
            shorten(names[predicted[one]]) + ("" if right[one] else f" ({shorten(names[dataset.targets[rows[one]]])})")
            for one in chosen
        ]
        return png(heat_grid(pixels[rows[chosen]], heats, captions, right[chosen].tolist()))
