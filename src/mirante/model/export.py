"""The deliverable: model.onnx, which takes uint8 pixels and answers with calibrated probabilities.

Its graph does everything after decoding and resizing: scaling, network, calibration, probabilities. Networks of the notation
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
from mirante.model.backbone import Backbone
from mirante.model.graph import Graph
from mirante.model.network import Attention, Network, Whitening
from mirante.model_info import ModelInfo
from mirante.onnx_session import open_session

OPSET = 20
_SCALES, _SHIFTS, _SPACE = "scales", "shifts", "space"
ATTENTION = "attention"
"""The name of the value that says where each answer is looked for: float (N, answers, height · width of the maps)."""
TOLERANCE = 1e-4
"""The largest difference in any probability between torch and ONNX Runtime that counts as agreement."""


def build_onnx(network: Network, info: ModelInfo, features: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Return the graph of the network with its preprocessing and its answer.

    Inputs `images` uint8 (N, height, width, channels); outputs `logits` and `probabilities`, float (N, …, classes), and what else the
    task answers.

    features  for a backbone, its own graph (trace_features), when it is known already

    Raises WorkError when the network is made of something that cannot be exported.
    """
    network.eval()
    body = network.body
    if isinstance(body, Backbone) and not network.flip_tta:
        model = trace_features(network, info) if features is None else features
        head = Graph("features")
        head.add("Gemm", *_numbers(body.head.weight, body.head.bias), output="logits", transB=1)
        head.append_to(model.graph)
    elif isinstance(body, nn.Sequential) and _known(body):
        model = _write_nodes(body, info, network.flip_tta)
    else:
        model = _trace(network, info, "logits")
    answer = Graph("logits")
    scales, shifts = info.calibration
    answer.add("Mul", scales, names=[_SCALES])
    answer.add("Add", shifts, names=[_SHIFTS])
    outputs = info.asks.finish_graph(answer, info)
    outputs["logits"] = ["N", *info.output]
    answer.append_to(model.graph)
    del model.graph.output[:]
    for name, shape in outputs.items():
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.producer_name = "mirante"
    return model


def seen_as(model: onnx.ModelProto) -> str | None:
    """Return the name of the features (N or 2N, width) that go into the last dense layer, or None when it ends otherwise.

    2N where the network also looks at the mirror images, which follow.
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
    for name in (_SCALES, _SHIFTS):
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
            "This network does not end in a dense layer, so it cannot be taught further by its last layer alone."
        )
    return found


def add_ood_score(model: onnx.ModelProto, features: str, space: NDArray[np.float32], mirror: bool) -> None:
    """Have the graph also answer `ood_score`, float (N,): see mirante.prediction.out_of_distribution.

    space  (width, d) the familiar directions
    """
    chain = Graph(features, "strange")
    chain.add("LpNormalization", axis=1, p=2)
    chain.add("MatMul", space, names=[_SPACE])
    chain.add("ReduceSumSquare", np.array([1]), keepdims=0)
    if mirror:
        chain.add("Reshape", np.array([2, -1]))
        chain.add("ReduceMean", np.array([0]), keepdims=0)
    chain.add("Neg")
    chain.add("Add", np.array(1, np.float32), output="ood_score")
    chain.append_to(model.graph)
    model.graph.output.append(helper.make_tensor_value_info("ood_score", TensorProto.FLOAT, ["N"]))


def with_calibration(model: onnx.ModelProto, info: ModelInfo) -> onnx.ModelProto:
    """Put the calibration of `info` into the graph; classes, size and fit go into the metadata. Returns the same graph."""
    learned = dict(zip((_SCALES, _SHIFTS), info.calibration, strict=True)) | info.asks.constants(info)
    for weight in model.graph.initializer:
        if weight.name in learned:
            weight.CopyFrom(numpy_helper.from_array(learned[weight.name], weight.name))
    helper.set_model_props(model, {"mirante": info.to_json()})
    onnx.checker.check_model(model)
    return model


def write_onnx(model: onnx.ModelProto, info: ModelInfo, path: Path) -> None:
    """Write the graph with the calibration of `info`."""
    calibrated = with_calibration(model, info)
    write_file(path, lambda part: onnx.save_model(calibrated, str(part)))


def trace_features(network: Network, info: ModelInfo) -> onnx.ModelProto:
    """Return the graph of a backbone without its last layer: `images` as in build_onnx to `features` (N, width)."""
    return _trace(_Features(network).eval(), info, "features")


def largest_difference(network: Network, info: ModelInfo, path: Path, images: Pixels) -> float:
    """Return the largest difference in any probability between the network in torch and the file in ONNX Runtime."""
    network.eval()
    with torch.no_grad():
        device = next(network.parameters()).device
        logits = network(torch.from_numpy(np.ascontiguousarray(images)).to(device)).double().cpu().numpy()
        expected = info.asks.from_logits(logits, info)["probabilities"]
    session = open_session(str(path))
    answered: NDArray[np.float32] = session.run(["probabilities"], {"images": np.ascontiguousarray(images)})[0]
    return float(np.abs(expected - answered).max())


_SIMPLE = (
    nn.ReLU,
    nn.GELU,
    nn.Flatten,
    nn.Unflatten,
    nn.Dropout,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    Attention,
)
_SIZED = (nn.Conv2d, Whitening, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d, nn.MaxPool2d, nn.AvgPool2d)


def _known(body: nn.Sequential) -> bool:
    return all(_known(part) if isinstance(part, nn.Sequential) else type(part) in _SIMPLE + _SIZED for part in body)


def _write_nodes(body: nn.Sequential, info: ModelInfo, mirror: bool) -> onnx.ModelProto:
    graph = Graph("images")
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Div", np.array(255, np.float32))
    graph.add("Transpose", perm=[0, 3, 1, 2])
    if mirror:
        straight = graph.here
        graph.add("Slice", *(np.array([number]) for number in (-1, np.iinfo(np.int64).min, 3, -1)))
        graph.join("Concat", straight, axis=0)  # (2N, C, H, W): each image, then each mirrored
    _add_modules(graph, body)
    if mirror or len(info.output) > 1:
        graph.add("Reshape", np.array([*([2] if mirror else []), -1, *info.output]))
    if mirror:
        graph.add("ReduceMean", np.array([0]), keepdims=0)
    graph.add("Identity", output="logits")
    taken = ["N", info.height, info.width, info.channels]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, taken)
    made = helper.make_graph(graph.nodes, "mirante", [images], [], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def _add_modules(graph: Graph, body: nn.Sequential) -> None:
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
            case nn.AdaptiveMaxPool2d():
                graph.add("GlobalMaxPool")
            case Attention():
                _add_attention(graph, part)
            case nn.Flatten():
                graph.add("Flatten", axis=1)
            case nn.ReLU():
                graph.add("Relu")
            case nn.GELU():
                graph.add("Gelu")
            case nn.Dropout() | nn.Unflatten():  # the rows of several answers are told apart at the end
                pass


def _add_attention(graph: Graph, part: Attention) -> None:
    """Add weighted averages; those of the answers of one image follow each other as rows (N · answers, C)."""
    looks, height, width = part.place.shape
    maps = graph.here
    graph.add("Reshape", np.array([0, part.score.in_channels, height * width]))
    flat = graph.here
    graph.here = maps
    graph.add("Conv", *_numbers(part.score.weight))
    graph.add("Add", *_numbers(part.place))
    graph.add("Reshape", np.array([0, looks, height * width]))
    graph.add("Softmax", output=ATTENTION, axis=-1)
    graph.here = flat
    graph.add("Transpose", perm=[0, 2, 1])
    graph.join("MatMul", ATTENTION)
    graph.add("Reshape", np.array([-1, part.score.in_channels]))


def _numbers(*tensors: Tensor | None) -> list[NDArray[np.float32]]:
    return [tensor.detach().cpu().contiguous().numpy() for tensor in tensors if tensor is not None]


class _Features(nn.Module):
    """What a backbone computes before its last layer, from uint8 images."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        body = self.network.body
        assert isinstance(body, Backbone)
        return body.features(images.permute(0, 3, 1, 2).to(torch.float32) / 255.0)


def _trace(module: nn.Module, info: ModelInfo, output: str) -> onnx.ModelProto:
    """Return what torch's own exporter makes of a module that takes uint8 images."""
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
                module.cpu(),
                (example,),
                input_names=["images"],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise WorkError(f"{info.layers}: torch could not export this network to ONNX ({error}).") from error
    assert program is not None
    return onnx.load_model_from_string(program.model_proto.SerializeToString())
