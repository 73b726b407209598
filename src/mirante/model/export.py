"""The deliverable: model.onnx, which takes uint8 pixels and answers with calibrated probabilities.

Its graph does everything after decoding and resizing: scaling, network, calibration, probabilities. Networks of the
notation and EfficientNet-Lite are written node by node, which takes milliseconds; others go through torch's exporter.
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
from mirante.model.last_layer import SCALES, SHIFTS
from mirante.model.network import Network
from mirante.model.nodes import OPSET, is_known, numbers, write_features, write_nodes
from mirante.model_info import ModelInfo
from mirante.onnx_session import open_session, parts_of

TOLERANCE = 1e-4
"""The largest difference in any probability between torch and ONNX Runtime that counts as agreement."""


def build_onnx(network: Network, info: ModelInfo, features: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Return the graph of the network with its preprocessing and its answer.

    Inputs `images` uint8 (N, height, width, channels); outputs `logits` and `probabilities`, float (N, …, classes), and what else the
    task answers.

    features  for a backbone, its own graph (features_graph), when already known

    Raises WorkError when the network contains something that cannot be exported.
    """
    network.eval()
    body = network.body
    if isinstance(body, Backbone) and not network.flip_tta:
        model = features_graph(network, info) if features is None else features
        head = Graph("features")
        head.add("Gemm", *numbers(body.head.weight, body.head.bias), output="logits", transB=1)
        head.append_to(model.graph)
    elif is_known(body):
        model = write_nodes(body, info, network.flip_tta)
    else:
        model = _trace(network, info, "logits")
    answer = Graph("logits")
    scales, shifts = info.calibration
    answer.add("Mul", scales, names=[SCALES])
    answer.add("Add", shifts, names=[SHIFTS])
    outputs = info.asks.finish_graph(answer, info)
    outputs["logits"] = ["N", *info.output]
    answer.append_to(model.graph)
    del model.graph.output[:]
    for name, shape in outputs.items():
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    model.producer_name = "mirante"
    return model


def with_calibration(model: onnx.ModelProto, info: ModelInfo) -> onnx.ModelProto:
    """Put the calibration of `info` into the graph; classes, size and fit go into the metadata. Returns the same graph."""
    learned = dict(zip((SCALES, SHIFTS), info.calibration, strict=True)) | info.asks.constants(info)
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


def features_graph(network: Network, info: ModelInfo) -> onnx.ModelProto:
    """Return the graph of a backbone without its last layer: `images` as in build_onnx to `features` (N, width)."""
    body = network.eval().body
    assert isinstance(body, Backbone)
    return write_features(body, info) if is_known(body) else _trace(_Features(network).eval(), info, "features")


def largest_difference(network: Network, info: ModelInfo, path: Path, images: Pixels) -> float:
    """Return the largest difference in any probability between the network in torch and the file in ONNX Runtime."""
    network.eval()
    device, session, found = next(network.parameters()).device, open_session(str(path)), 0.0
    for part in parts_of(len(images), info.size):
        batch = np.ascontiguousarray(images[part])
        with torch.no_grad():
            logits = network(torch.from_numpy(batch).to(device)).double().cpu().numpy()
        expected = info.asks.from_logits(logits, info)["probabilities"]
        answered: NDArray[np.float32] = session.run(["probabilities"], {"images": batch})[0]
        found = max(found, float(np.abs(expected - answered).max()))
    return found


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
    import onnxscript  # noqa: F401  (torch's exporter needs it but says so less clearly)

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
    return _without_traces(onnx.load_model_from_string(program.model_proto.SerializeToString()))


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without what torch notes about each node: the lines of code it came from, with the paths on this computer."""
    for part in (model.graph, *model.functions):
        for node in part.node:
            del node.metadata_props[:]
            node.doc_string = ""
        for value in (*part.value_info, *getattr(part, "initializer", ())):
            del value.metadata_props[:]
        del part.metadata_props[:]
    return model
