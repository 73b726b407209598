"""A chain of ONNX nodes, written one by one."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Graph:
    """Collects the nodes and weights of a chain that begins at the value named `here`."""

    def __init__(self, here: str, name: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.here = here
        self._begin = name or here  # the prefix of its values' names

    def add(
        self,
        operator: str,
        *weights: NDArray[np.generic],
        output: str = "",
        names: list[str] | None = None,
        **attributes: object,
    ) -> None:
        """Add a node that takes `here` and the weights; its value is `here` from now on, under the name `output` if one is given."""
        names = names or [f"{self._begin}.w{len(self.weights) + number}" for number in range(len(weights))]
        self.weights += [numpy_helper.from_array(weight, name) for weight, name in zip(weights, names, strict=True)]
        self._node(operator, [self.here, *names], output, attributes)

    def join(self, operator: str, other: str, **attributes: object) -> None:
        """Add a node that takes another value of the graph before `here`."""
        self._node(operator, [other, self.here], "", attributes)

    def append_to(self, graph: onnx.GraphProto) -> None:
        """Append the chain to a graph."""
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.weights)

    def _node(self, operator: str, inputs: list[str], output: str, attributes: dict[str, object]) -> None:
        self.here = output or f"{self._begin}.v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [self.here], **attributes))
