"""OpenVINO's own form, for Intel's processors, graphics and accelerators: model.xml and model.bin, which take any image size."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.exports.any_size import with_resize
from mirante.exports.form import Answers, Job, Written, sizes
from mirante.exports.int8 import Quantised, compare, quantise, relative_speed
from mirante.exports.verify import TOLERANCE, require_agreement
from mirante.images import Pixels
from mirante.model_info import ModelInfo

_PRECISE = {"INFERENCE_PRECISION_HINT": "f32"}  # else some processors compute in 16 bits


_TOLERANCE = 5e-2  # the resize is computed in 32 bits: some pixels are one step brighter or darker, most where images are enlarged


def write(job: Job) -> Written:
    """Write model.xml and model.bin. Raises RequestError without OpenVINO."""
    answers = write_openvino(job.any_size.SerializeToString(), job.info, job.folder / "model.xml")
    require_agreement(job.difference(answers), TOLERANCE, "openvino")  # of images of the model's own size
    speed = relative_speed(job.model.run, answers, job.tried.pixels)
    text = "In batches, on this processor, it is {speed} times as fast as ONNX Runtime."
    return replace(job.of_whole(answers, _TOLERANCE), speed=speed, remark=job.say(text, speed=job.say.number(speed, 1)))


def write_int8(job: Job, written: Written) -> Quantised:
    """Write model-int8.xml and model-int8.bin."""
    with tempfile.TemporaryDirectory(prefix="mirante-") as made:
        small = Path(made) / "model-int8.onnx"
        quantise(job.model, job.learned().pixels, small)
        any_size = with_resize(onnx.load(small), job.info).SerializeToString()
    rounded = write_openvino(any_size, job.info, job.folder / "model-int8.xml")
    measured = sizes(job.folder / "model-int8.bin", job.folder / "model.bin")
    assert written.answers is not None
    return compare(job.model, written.answers, rounded, measured, "model-int8.xml", job.tried)


def write_openvino(graph: bytes, info: ModelInfo, path: Path) -> Answers:
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
