"""A network as ONNX nodes, written one by one in milliseconds, where torch's own exporter takes seconds."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from mirante.model.backbone import ROOT, Backbone
from mirante.model.efficientnet_lite import WIDTH, EfficientNetLite, SameConv2d
from mirante.model.graph import Graph
from mirante.model.network import Attention, Whitening
from mirante.model_info import ModelInfo

OPSET = 20
ATTENTION = "attention"
"""The name of the value that says where the network looks for each answer: float (N, answers, height · width of the maps)."""

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


def is_known(body: nn.Module) -> bool:
    """Tell whether `write_nodes` has nodes for it: a network of the notation, or a backbone that is an EfficientNet-Lite."""
    if isinstance(body, Backbone):
        return isinstance(body.body, EfficientNetLite)
    return isinstance(body, nn.Sequential) and all(
        is_known(part) if isinstance(part, nn.Sequential) else type(part) in _SIMPLE + _SIZED for part in body
    )


def write_nodes(body: nn.Module, info: ModelInfo, flip_tta: bool) -> onnx.ModelProto:
    """Return the graph from `images` to `logits`; with `flip_tta` the mean over each image and its mirror image."""
    graph = Graph("images")
    if flip_tta:
        straight = graph.here
        graph.add("Slice", *(np.array([number]) for number in (-1, np.iinfo(np.int64).min, 2, -1)))
        graph.join("Concat", straight, axis=0)  # (2N, H, W, C): each image, then each mirrored
    if isinstance(body, Backbone):
        _add_features(graph, body)
        graph.add("Gemm", *numbers(body.head.weight, body.head.bias), transB=1)
    else:
        assert isinstance(body, nn.Sequential)
        graph.add("Cast", to=TensorProto.FLOAT)
        graph.add("Div", np.array(255, np.float32))
        graph.add("Transpose", perm=[0, 3, 1, 2])
        _add_modules(graph, body)
    if flip_tta or len(info.output) > 1:
        graph.add("Reshape", np.array([*([2] if flip_tta else []), -1, *info.output]))
    if flip_tta:
        graph.add("ReduceMean", np.array([0]), keepdims=0)
    graph.add("Identity", output="logits")
    return _model(graph, info)


def write_features(body: Backbone, info: ModelInfo) -> onnx.ModelProto:
    """Return the graph of an EfficientNet-Lite from `images` to `features` (N, width), without its last layer."""
    graph = Graph("images")
    _add_features(graph, body)
    graph.add("Identity", output="features")
    model = _model(graph, info)
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH]))
    return model


def _model(graph: Graph, info: ModelInfo) -> onnx.ModelProto:
    taken = ["N", info.height, info.width, info.channels]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, taken)
    made = helper.make_graph(graph.nodes, "mirante", [images], [], graph.weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def _add_features(graph: Graph, backbone: Backbone) -> None:
    """Add an EfficientNet-Lite, each convolution with the scaling that follows it; grey becomes three equal channels."""
    network = backbone.body
    assert isinstance(network, EfficientNetLite)
    mean, std = (255 * one.detach().cpu() for one in (backbone.mean, backbone.std))  # pixels come as 0 to 255
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Transpose", perm=[0, 3, 1, 2])
    graph.add("Sub", *numbers(mean))
    _add_convolution(graph, network.conv_stem, network.bn1, shown_over=std)
    for block in network.in_order():
        before, pairs = graph.here, block.pairs()
        for convolution, norm in pairs:
            _add_convolution(graph, convolution, norm, active=norm is not pairs[-1][1])
        if block.adds_input:
            graph.join("Add", before)
    _add_convolution(graph, network.conv_head, network.bn2)
    graph.add("GlobalAveragePool")
    graph.add("Flatten", axis=1)
    if backbone.root:
        graph.add("Add", np.array(ROOT, np.float32))
        graph.add("Sqrt")


def _add_convolution(
    graph: Graph, convolution: SameConv2d, norm: nn.BatchNorm2d, active: bool = True, shown_over: Tensor | None = None
) -> None:
    """Add a convolution with the normalisation after it folded in (and before it, the division by `shown_over`), then a ReLU6."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.detach().double() / (norm.running_var.double() + norm.eps).sqrt()
    weight = convolution.weight.detach().double() * scale[:, None, None, None]
    if shown_over is not None:
        weight = weight / shown_over.double().to(weight.device)
    bias = norm.bias.detach().double() - norm.running_mean.double() * scale
    graph.add(
        "Conv",
        *numbers(weight.float(), bias.float()),
        auto_pad="SAME_UPPER",
        strides=list(convolution.stride),
        group=convolution.groups,
        kernel_shape=list(convolution.kernel_size),
    )
    if active:
        graph.add("Clip", np.array(0, np.float32), np.array(6, np.float32))


def _add_modules(graph: Graph, body: nn.Sequential) -> None:
    for part in body:
        match part:
            case nn.Sequential():
                _add_modules(graph, part)
            case nn.Conv2d():
                padding = [int(side) for side in part.padding] * 2  # begin and end of each axis
                graph.add("Conv", *numbers(part.weight, part.bias), strides=list(part.stride), pads=padding)
            case nn.Linear():
                graph.add("Gemm", *numbers(part.weight, part.bias), transB=1)
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                normal = numbers(part.weight, part.bias, part.running_mean, part.running_var)
                graph.add("BatchNormalization", *normal, epsilon=part.eps)
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
            case nn.Dropout() | nn.Unflatten():  # the rows of several answers are separated at the end
                pass


def _add_attention(graph: Graph, part: Attention) -> None:
    """Add weighted averages; those of the answers of one image follow each other as rows (N · answers, C)."""
    looks, height, width = part.place.shape
    maps = graph.here
    graph.add("Reshape", np.array([0, part.score.in_channels, height * width]))
    flat = graph.here
    graph.here = maps
    graph.add("Conv", *numbers(part.score.weight))
    graph.add("Add", *numbers(part.place))
    graph.add("Reshape", np.array([0, looks, height * width]))
    graph.add("Softmax", output=ATTENTION, axis=-1)
    graph.here = flat
    graph.add("Transpose", perm=[0, 2, 1])
    graph.join("MatMul", ATTENTION)
    graph.add("Reshape", np.array([-1, part.score.in_channels]))


def numbers(*tensors: Tensor | None) -> list[NDArray[np.float32]]:
    """Return the weights as arrays, without those that are None."""
    return [tensor.detach().cpu().contiguous().numpy() for tensor in tensors if tensor is not None]
