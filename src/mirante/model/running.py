"""A graph in memory, run by ONNX Runtime; intermediate values too."""

from __future__ import annotations

from typing import Any

import onnx

from mirante.onnx_session import open_session


def open_graph(model: onnx.ModelProto, value: str = "") -> Any:
    """Return a session of the graph; its last output is `value`, if one is named and it is not an output already."""
    if value and value not in {one.name for one in model.graph.output}:
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        watched.graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None))
        model = watched
    return open_session(model.SerializeToString())
