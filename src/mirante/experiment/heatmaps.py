"""Where a network looked in a few images that it was not trained on, kept in the run: the network may be gone when it is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.experiment.fit_network import FittedNetwork
from mirante.files import write_bytes
from mirante.images import Pixels


def write_heatmaps(
    run: Path,
    fitted: FittedNetwork,
    dataset: Dataset,
    pixels: Pixels,
    rows: NDArray[np.int64],
    logits: NDArray[np.float32],
) -> None:
    """Draw them into the plots of a run, where the task and the network have some to draw; logits are those of the rows."""
    drawn = fitted.info.asks.draw_attention(fitted.network, fitted.model, dataset, pixels, rows, logits)
    if drawn is not None:
        (run / runfolder.PLOTS).mkdir(exist_ok=True)
        write_bytes(run / runfolder.PLOTS / runfolder.HEATMAPS, drawn)
