"""A graph in memory, run by ONNX Runtime; intermediate values too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante.images import Pixels
from mirante.onnx_session import open_session, parts_of


def open_graph(model: onnx.ModelProto, value: str = "") -> Any:
    """Return a session of the graph; its last output is `value`, if one is named and it is not an output already."""
    if value and value not in {one.name for one in model.graph.output}:
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        watched.graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None))
        model = watched
    return open_session(model.SerializeToString())


def inner_values(model: onnx.ModelProto, name: str, images: Pixels, mirrored: bool = False) -> NDArray[np.float32]:
    """Return the values (N, width) that a graph has under this name for the images, uint8 (N, H, W, C).

    mirrored  also those of the mirror images, where the network looks at them: their values come second
    """
    session, found = open_graph(model, name), []
    for part in parts_of(len(images), images.shape[1:3]):
        batch = np.ascontiguousarray(images[part])
        values = session.run([name], {"images": batch})[0]
        found.append(values if mirrored else values[: len(batch)])
    return np.concatenate(found)
