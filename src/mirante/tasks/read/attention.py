"""Where a network looked for each letter of a few images, if it has an ATT that says so."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.plots.style import png
from mirante.images import Pixels
from mirante.model.nodes import ATTENTION
from mirante.model.running import open_graph
from mirante.tasks.read.plots import attention_grid

_DRAWN = 4


def draw(model: onnx.ModelProto, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64]) -> bytes | None:
    """Return a PNG of it for the first few rows; None for a network without attention."""
    if ATTENTION not in {name for node in model.graph.node for name in node.output}:
        return None
    chosen = rows[:_DRAWN]
    looks = open_graph(model, ATTENTION).run([ATTENTION], {"images": np.ascontiguousarray(pixels[chosen])})[0]
    shape = _maps_of(model, looks.shape[2])
    names = dataset.names
    return png(attention_grid(pixels[chosen], looks.reshape(*looks.shape[:2], *shape), [names[row] for row in chosen]))


def _maps_of(model: onnx.ModelProto, places: int) -> tuple[int, int]:
    """Return the height and width of the attention maps: those of the bias of each place, (characters, height, width)."""
    shapes = [tuple(one.dims) for one in model.graph.initializer if len(one.dims) == 3]
    return next((height, width) for _, height, width in shapes if height * width == places)
