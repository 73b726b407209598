"""The deliverable: model.onnx, which takes uint8 pixels and answers with calibrated probabilities.

Its graph does everything after decoding and resizing: scaling, network, temperature, softmax. Networks of the notation
are written node by node, which takes milliseconds; a person's own module goes through torch's exporter.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mirante.errors import WorkError
from mirante.files import write_file
from mirante.images import Pixels
from mirante.model.network import Network
from mirante.runfolder import ModelInfo

OPSET = 20
TOLERANCE = 1e-4
"""The largest difference in any probability between torch and ONNX Runtime that counts as agreement."""


def write_onnx(network: Network, info: ModelInfo, path: Path) -> None:
    """Write the network with its preprocessing and temperature; classes, size and fit go into the metadata.

    Inputs `images` uint8 (N, height, width, channels); outputs `probabilities` and `logits`, float (N, classes).
    Raises WorkError when the network is made of something that cannot be exported.
    """
    network.eval()
    body = network.body
    model = _write_nodes(body, info) if isinstance(body, nn.Sequential) and _known(body) else _trace(network, info)
    model.producer_name = "mirante"
    helper.set_model_props(model, {"mirante": info.to_json()})
    onnx.checker.check_model(model)
    write_file(path, lambda part: onnx.save_model(model, str(part)))


def largest_difference(network: Network, info: ModelInfo, path: Path, images: Pixels) -> float:
    """Return the largest difference in any probability between the network in torch and the file in ONNX Runtime."""
    import onnxruntime

    network.eval()
    with torch.no_grad():
        device = next(network.parameters()).device
        logits = network(torch.from_numpy(np.ascontiguousarray(images)).to(device)) / info.temperature
        expected = torch.softmax(logits.double(), dim=1).cpu().numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answered: NDArray[np.float32] = session.run(["probabilities"], {"images": np.ascontiguousarray(images)})[0]
    return float(np.abs(expected - answered).max())


_SIMPLE = (nn.ReLU, nn.GELU, nn.Flatten, nn.Dropout, nn.AdaptiveAvgPool2d)
_SIZED = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d, nn.MaxPool2d, nn.AvgPool2d)


def _known(body: nn.Sequential) -> bool:
    return all(_known(part) if isinstance(part, nn.Sequential) else type(part) in _SIMPLE + _SIZED for part in body)


class _Graph:
    """Collects the nodes and weights of one chain; `here` is the name of the value that the next node takes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.here = "images"

    def add(self, operator: str, *weights: NDArray[np.generic], output: str = "", **attributes: object) -> None:
        names = []
        for weight in weights:
            names.append(f"w{len(self.weights)}")
            self.weights.append(numpy_helper.from_array(weight, names[-1]))
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.here, *names], [output], **attributes))
        self.here = output


def _write_nodes(body: nn.Sequential, info: ModelInfo) -> onnx.ModelProto:
    graph = _Graph()
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Div", np.array(255, np.float32))
    graph.add("Transpose", perm=[0, 3, 1, 2])
    _add_modules(graph, body)
    graph.add("Identity", output="logits")
    graph.add("Div", np.array(info.temperature, np.float32))
    graph.add("Softmax", output="probabilities", axis=1)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(info.classes)])
        for name in ("probabilities", "logits")
    ]
    shape = ["N", info.height, info.width, info.channels]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, shape)
    made = helper.make_graph(graph.nodes, "mirante", [images], outputs, graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def _add_modules(graph: _Graph, body: nn.Sequential) -> None:
    for part in body:
        match part:
            case nn.Sequential():
                _add_modules(graph, part)
            case nn.Conv2d():
                padding = [int(side) for side in part.padding] * 2  # begin and end of each axis
                graph.add("Conv", *_numbers(part.weight, part.bias), strides=list(part.stride), pads=padding)
            case nn.Linear():
                graph.add("Gemm", *_numbers(part.weight, part.bias), transB=1)
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                numbers = _numbers(part.weight, part.bias, part.running_mean, part.running_var)
                graph.add("BatchNormalization", *numbers, epsilon=part.eps)
            case nn.MaxPool2d():
                graph.add("MaxPool", kernel_shape=[part.kernel_size] * 2, strides=[part.stride] * 2)
            case nn.AvgPool2d():
                graph.add("AveragePool", kernel_shape=[part.kernel_size] * 2, strides=[part.stride] * 2)
            case nn.AdaptiveAvgPool2d():
                graph.add("GlobalAveragePool")
            case nn.Flatten():
                graph.add("Flatten", axis=1)
            case nn.ReLU():
                graph.add("Relu")
            case nn.GELU():
                graph.add("Gelu")
            case nn.Dropout():
                pass


def _numbers(*tensors: Tensor | None) -> list[NDArray[np.float32]]:
    return [tensor.detach().cpu().contiguous().numpy() for tensor in tensors if tensor is not None]


class _Answer(nn.Module):
    """The whole of what the file computes, for torch's own exporter."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images)
        return torch.softmax(logits / self.temperature, dim=1), logits


def _trace(network: Network, info: ModelInfo) -> onnx.ModelProto:
    try:
        import onnxscript  # noqa: F401  (torch's exporter needs it and says so less clearly)
    except ImportError:
        raise WorkError("A network of your own needs one more package; pip install 'mirante[custom]'.") from None
    example = torch.zeros(2, *info.size, info.channels, dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            program = torch.onnx.export(
                _Answer(network.cpu(), info.temperature).eval(),
                (example,),
                input_names=["images"],
                output_names=["probabilities", "logits"],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise WorkError(f"{info.layers}: torch could not export this network to ONNX ({error}).") from error
    assert program is not None
    return onnx.load_model_from_string(program.model_proto.SerializeToString())
