"""model-any-size.onnx: the resize inside the graph, so that images of any height and width go in.

Pillow's bilinear resize, written as two matrices whose entries the graph computes from the image's size: a row of the output is a
weighted mean of rows of the image, the weights a triangle as wide as the shrinking asks for (Pillow's Resample.c). Cropping and
padding are where the triangles lie. Weights are whole multiples of 2⁻²² as in Pillow, and sums are taken in float64, which holds them
exactly: the pixels are Pillow's, bit for bit. Decoding stays outside.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mirante.model_info import ModelInfo


def with_resize(model: onnx.ModelProto, info: ModelInfo) -> onnx.ModelProto:
    """Return the graph that takes `images` uint8 (N, any height, any width, channels) and answers as the model does."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == "images":
                node.input[place] = "resized"
    nodes = _Nodes()
    nodes.resize(info)
    body = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes.nodes, *body])
    graph.initializer.extend(nodes.numbers)
    del graph.input[:]
    shape = ["N", "height", "width", info.channels]
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, shape))
    onnx.checker.check_model(whole)
    return whole


_STEPS = float(1 << 22)  # Pillow's PRECISION_BITS


class _Nodes:
    """Collects nodes; every method returns the name of a value."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.numbers: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str | NDArray[np.generic] | float, **attributes: object) -> str:
        """Add a node; plain numbers are float64."""
        names = []
        for one in inputs:
            if isinstance(one, str):
                names.append(one)
                continue
            names.append(f"resize.n{len(self.numbers)}")
            array = one if isinstance(one, np.ndarray) else np.array(one, np.float64)
            self.numbers.append(numpy_helper.from_array(array, names[-1]))
        name = f"resize.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [name], **attributes))
        return name

    def resize(self, info: ModelInfo) -> None:
        height, width = info.size
        shape = self.add("Cast", self.add("Shape", "images"), to=TensorProto.DOUBLE)
        sides = [self.add("Gather", shape, np.array(axis)) for axis in (1, 2)]
        (top, tall, up, high), (left, wide, back, broad) = self._window(sides, info)
        rows = self._weights(sides[0], height, top, tall, up, high)
        columns = self._weights(sides[1], width, left, wide, back, broad)
        pixels = self.add("Transpose", self.add("Cast", "images", to=TensorProto.DOUBLE), perm=[0, 3, 1, 2])
        pixels = self._round(self.add("MatMul", pixels, self.add("Transpose", columns, perm=[1, 0])))
        pixels = self._round(self.add("MatMul", rows, pixels))
        bytes_ = self.add("Cast", self.add("Transpose", pixels, perm=[0, 2, 3, 1]), to=TensorProto.UINT8)
        self.nodes.append(helper.make_node("Identity", [bytes_], ["resized"]))

    def _window(self, sides: list[str], info: ModelInfo) -> list[tuple[str, str, str, str]]:
        """Return, for each direction, where the visible part begins in the image and its length, and the same in the output."""
        found = []
        height, width = info.size
        zero = self.add("Mul", sides[0], 0.0)
        for axis, side in enumerate(sides):
            own, other = (height, width) if axis == 0 else (width, height)
            across = sides[1 - axis]
            full = self.add("Add", zero, float(own))
            if info.fit == "crop":  # as much of this direction as has the output's shape
                shaped = (
                    self.add("Div", across, width / height) if axis == 0 else self.add("Mul", across, width / height)
                )
                begins = self.add("Mul", self.add("Sub", side, self.add("Min", side, shaped)), 0.5)
                ends = self._single(self.add("Add", begins, self.add("Min", side, shaped)))
                begins = self._single(begins)
                found.append((begins, self._single(self.add("Sub", ends, begins)), zero, full))
            elif info.fit == "pad":  # the output's pixels that the image fills, a whole number of them
                fits = self.add("Round", self.add("Mul", self.add("Div", side, across), float(other)))
                fills = self.add("Max", self.add("Min", fits, float(own)), 1.0)
                begins = self.add("Round", self.add("Mul", self.add("Sub", full, fills), 0.5))
                found.append((zero, side, begins, fills))
            else:
                found.append((zero, side, zero, full))
        return found

    def _weights(self, side: str, own: int, begins: str, length: str, at: str, fills: str) -> str:
        """Return the weights (own, side) of the image's rows or columns in each of the output's."""
        scale = self.add("Div", length, fills)
        places = self.add("Sub", np.arange(own, dtype=np.float64).reshape(-1, 1), at)
        centres = self.add("Add", self.add("Mul", self.add("Add", places, 0.5), scale), begins)
        pixels = self.add("Add", self.add("Range", 0.0, side, 1.0), 0.5)
        distances = self.add("Abs", self.add("Div", self.add("Sub", pixels, centres), self.add("Max", scale, 1.0)))
        triangles = self.add("Relu", self.add("Sub", 1.0, distances))
        sums = self.add("ReduceSum", triangles, np.array([1]), keepdims=1)
        weights = self.add("Div", triangles, self.add("Max", sums, 1e-9))
        weights = self.add("Div", self.add("Floor", self.add("Add", self.add("Mul", weights, _STEPS), 0.5)), _STEPS)
        inside = self.add("And", self.add("GreaterOrEqual", places, 0.0), self.add("Less", places, fills))
        return self.add("Mul", weights, self.add("Cast", inside, to=TensorProto.DOUBLE))  # outside it is black

    def _single(self, value: str) -> str:
        """Round to what a float32 holds, as the corners of Pillow's boxes are."""
        return self.add("Cast", self.add("Cast", value, to=TensorProto.FLOAT), to=TensorProto.DOUBLE)

    def _round(self, values: str) -> str:
        return self.add("Clip", self.add("Floor", self.add("Add", values, 0.5)), 0.0, 255.0)
