"""OpenVINO's own form, for Intel's processors, graphics and accelerators: model.xml and model.bin, which take any image size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.images import Pixels
from mirante.model_info import ModelInfo

_PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}  # else some processors compute in 16 bits


def write_openvino(graph: bytes, info: ModelInfo, path: Path) -> Callable[[Pixels], NDArray[np.floating]]:
    """Write a graph of ONNX as `path` (.xml) with its weights beside it; return what it answers to pixels (N, H, W, C)."""
    openvino = _openvino()
    core = openvino.Core()
    model = core.read_model(graph, b"")
    model.set_rt_info(info.to_json(), ["mirante"])
    openvino.save_model(model, path, compress_to_fp16=False)
    compiled = core.compile_model(path, "CPU", _PRECISE)

    def answers(pixels: Pixels) -> NDArray[np.floating]:
        found: NDArray[np.floating] = compiled({"images": np.ascontiguousarray(pixels)})["probabilities"]
        return found

    return answers


def _openvino() -> Any:
    """Import OpenVINO without its telemetry: where that cannot be imported, OpenVINO has a stand-in that tells nobody anything."""
    if find_spec("openvino") is None:
        raise RequestError("--to openvino needs one more package; pip install 'mirante[openvino]'.")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
