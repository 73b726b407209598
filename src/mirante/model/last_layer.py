"""The last dense layer of a graph: its input, its weights, and replacing them; and scores of what is familiar."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mirante.errors import WorkError
from mirante.model.graph import Graph

SCALES, SHIFTS = "scales", "shifts"
"""The names of the calibration in a graph."""

_SPACE = "space"


def seen_as(model: onnx.ModelProto) -> str | None:
    """Return the name of the features (N or 2N, width) that go into the last dense layer, or None when it ends otherwise.

    2N if the network also looks at the mirror images, which come second.
    """
    makers = {node.output[0]: node for node in model.graph.node}
    here = "logits"
    while here in makers and makers[here].op_type in ("Identity", "ReduceMean", "Reshape"):
        here = makers[here].input[0]
    return str(makers[here].input[0]) if here in makers and makers[here].op_type == "Gemm" else None


def read_head(model: onnx.ModelProto) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weights (classes, width) and biases (classes,) of the last dense layer. Raises WorkError when it ends otherwise."""
    weights = {one.name: one for one in model.graph.initializer}
    gemm = _last_dense(model)
    weight, bias = (numpy_helper.to_array(weights[name]) for name in gemm.input[1:3])
    return weight.astype(np.float32), bias.astype(np.float32)


def parts_of_head(model: onnx.ModelProto) -> set[str]:
    """Return the names of the weights of a graph that `replace_head`, or another calibration, changes."""
    gemm = _last_dense(model)
    after = [
        node.input[1] for node in model.graph.node if node.op_type == "Reshape" and node.input[0] == gemm.output[0]
    ]
    return {*gemm.input[1:3], *after, SCALES, SHIFTS, _SPACE}


def replace_head(
    model: onnx.ModelProto,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    space: NDArray[np.float32] | None,
) -> onnx.ModelProto:
    """Return the graph with another last layer, (classes, width) and (classes,), and the space of add_ood_score."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    gemm, classes = _last_dense(changed), len(bias)
    new = {gemm.input[1]: weight, gemm.input[2]: bias}
    for name in (SCALES, SHIFTS):
        new[name] = np.zeros(classes, np.float32)  # write_onnx puts the calibration there
    if space is not None:
        new[_SPACE] = space
    for one in changed.graph.initializer:
        if one.name in new:
            one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new[one.name]), one.name))
    users = {node.input[0]: node for node in changed.graph.node if node.input}
    after = users.get(gemm.output[0])
    if after is not None and after.op_type == "Reshape":  # two looks at each image
        for one in changed.graph.initializer:
            if one.name == after.input[1]:
                one.CopyFrom(numpy_helper.from_array(np.array([2, -1, classes]), one.name))
    for output in changed.graph.output:
        if output.name != "ood_score":
            output.type.tensor_type.shape.dim[1].dim_value = classes
    return changed


def _last_dense(model: onnx.ModelProto) -> onnx.NodeProto:
    name = seen_as(model)
    found = next((node for node in model.graph.node if node.op_type == "Gemm" and node.input[0] == name), None)
    if found is None:
        raise WorkError(
            "This network does not end in a dense layer, so it cannot be trained further by its last layer alone."
        )
    return found


def add_ood_score(model: onnx.ModelProto, features: str, space: NDArray[np.float32], flip_tta: bool) -> None:
    """Have the graph also output `ood_score`, float (N,): see mirante.prediction.out_of_distribution.

    space  (width, d) the familiar directions
    """
    chain = Graph(features, "strange")
    chain.add("LpNormalization", axis=1, p=2)
    chain.add("MatMul", space, names=[_SPACE])
    chain.add("ReduceSumSquare", np.array([1]), keepdims=0)
    if flip_tta:
        chain.add("Reshape", np.array([2, -1]))
        chain.add("ReduceMean", np.array([0]), keepdims=0)
    chain.add("Neg")
    chain.add("Add", np.array(1, np.float32), output="ood_score")
    chain.append_to(model.graph)
    model.graph.output.append(helper.make_tensor_value_info("ood_score", TensorProto.FLOAT, ["N"]))
