"""model-int8.onnx: kernels and feature maps in 8 bits, their ranges learned from real training images; smaller, and mostly faster.

ONNX Runtime's static quantisation, with a scale for each kernel. What it costs is measured on the test images, never guessed.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante.errors import WorkError
from mirante.exports.verify import Tried
from mirante.files import write_file
from mirante.images import Pixels
from mirante.prediction.onnx_model import BATCH, OnnxModel

_ROUNDS = 7


@dataclass(frozen=True)
class Quantised:
    """What 8 bits gained, against the model itself on the same images.

    accuracy, before  shares of right answers, or NaN where the labels are not known
    changed           share of images whose answer changes
    difference        the largest in any probability
    speed             how many times as fast, decoding aside
    bytes, were       sizes of the files
    """

    accuracy: float
    before: float
    changed: float
    difference: float
    speed: float
    bytes: int
    were: int


def write_int8(model: OnnxModel, calibration: Pixels, path: Path) -> None:
    """Write the quantised model; calibration images are uint8 (N, height, width, channels). Raises WorkError when that fails."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Pixels] = iter(np.array_split(calibration, max(1, len(calibration) // 16)))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": np.ascontiguousarray(batch)}

    with tempfile.TemporaryDirectory(prefix="mirante-") as folder:
        ready = Path(folder) / "ready.onnx"
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # where the quantiser logs
        try:
            quant_pre_process(str(model.path), str(ready), skip_symbolic_shape=True)
            named = onnx.load(ready)
            for number, node in enumerate(named.graph.node):
                node.name = f"{node.op_type}.{number}"
            onnx.save_model(named, str(ready))
            kept = _kept_in_float(named)

            def write(part: Path) -> None:
                quantize_static(
                    str(ready), str(part), Images(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=kept,
                    op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Clip", "Add"],
                    calibrate_method=CalibrationMethod.MinMax,
                )  # fmt: skip
                made = onnx.load(part)
                onnx.helper.set_model_props(made, {"mirante": model.info.to_json()})
                onnx.save_model(made, str(part))

            write_file(path, write)
        except WorkError:
            raise
        except Exception as error:  # the quantiser has no errors of its own
            raise WorkError(f"{model.path}: this network could not be quantised ({error}).") from error
        finally:
            root.setLevel(level)


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """Return the nodes that stay as they are: the last layer, what follows it, and what gives the OOD score; they cost little."""
    makers = {output: node for node in model.graph.node for output in node.output}
    names = []
    here = "logits"
    while here in makers:
        node = makers[here]
        names.append(node.name)
        if node.op_type in ("Gemm", "MatMul"):
            break
        here = node.input[0]
    names += [node.name for node in model.graph.node if node.op_type == "MatMul"]
    return names


def compare(model: OnnxModel, other: OnnxModel, tried: Tried) -> Quantised:
    """Compare the quantised model with the original on the images; the two take turns."""
    answers = [one.run(tried.pixels).probabilities for one in (model, other)]
    chosen = [found.argmax(axis=-1).reshape(len(found), -1) for found in answers]
    shares = [np.nan, np.nan]
    if tried.targets is not None:
        wanted = tried.targets.reshape(len(tried.targets), -1)
        shares = [float((found == wanted).all(axis=1).mean()) for found in chosen]
    batch = np.ascontiguousarray(np.resize(tried.pixels, (BATCH, *tried.pixels.shape[1:])))
    taken: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for number, one in enumerate((model, other)):
            taken[number].append(_seconds(one.run, batch))
    before, after = (float(np.median(one)) for one in taken)
    return Quantised(
        shares[1],
        shares[0],
        float((chosen[0] != chosen[1]).any(axis=1).mean()),
        float(np.abs(answers[0] - answers[1]).max()),
        before / after,
        other.path.stat().st_size,
        model.path.stat().st_size,
    )


def _seconds(call: Callable[[NDArray[np.uint8]], Any], batch: NDArray[np.uint8]) -> float:
    began = time.perf_counter()
    call(batch)
    return time.perf_counter() - began
