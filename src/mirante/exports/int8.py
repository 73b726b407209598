"""model-int8.onnx: kernels and feature maps in 8 bits, their ranges learned from real training images; smaller, and mostly faster.

ONNX Runtime's static quantisation, with a scale for each kernel; the first convolution, which sees pixels, and the last layer stay as
they are. Then the last layer is moved so that it says of the rounded features what the model says of its own. Processors without
VNNI cannot add products of all 8 bits without overflow: where the answers for training images, on this processor, are far from
the model's, 7 bits of each weight are tried as well. What it costs is measured on the test images, never guessed.
"""

from __future__ import annotations

import json
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
from onnx import numpy_helper

from mirante.errors import WorkError
from mirante.exports.verify import Tried
from mirante.files import write_file
from mirante.images import Pixels
from mirante.model.last_layer import read_head, seen_as
from mirante.model.running import inner_values
from mirante.prediction.onnx_model import BATCH, CHECK, OnnxModel, check_images, moved_share

_ROUNDS = 7
_NEAR = 0.05  # mean share of the probability that moves to other classes; where sums overflow it is far more
_RIDGE = 1.0  # how firmly the last layer is held where it was, in units of the features' spread


@dataclass(frozen=True)
class Quantised:
    """What 8 bits gained, against the model itself on the same images.

    file              its name
    accuracy, before  shares of right answers, or NaN where the labels are not known
    changed           share of images whose answer changes
    difference        the largest in any probability
    speed             how many times as fast, decoding aside; NaN where it cannot be run here
    bytes, were       sizes of the files
    """

    file: str
    accuracy: float
    before: float
    changed: float
    difference: float
    speed: float
    bytes: int
    were: int


def quantise(model: OnnxModel, calibration: Pixels, path: Path) -> None:
    """Write the quantised model; calibration images are uint8 (N, height, width, channels). Raises WorkError when that fails."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

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
            logging.getLogger("mirante").info(f"8 bits: their ranges are learned from {len(calibration)} images")
            wanted = model.run(calibration).probabilities
            found: list[tuple[float, onnx.ModelProto]] = []
            for bits in (8, 7):
                if found and found[0][0] < _NEAR:
                    break
                part = Path(folder) / f"{bits}.onnx"
                _quantise(ready, part, calibration, _kept_in_float(named), bits)
                made = _corrected(onnx.load(part), named, calibration)
                onnx.helper.set_model_props(made, {"mirante": model.info.to_json()})
                answered = OnnxModel(made.SerializeToString()).run(calibration).probabilities
                found.append((float(moved_share(answered, wanted).mean()), made))
            best = min(found, key=lambda one: one[0])[1]
            noted = OnnxModel(best.SerializeToString()).run(check_images(model.info)).probabilities.tolist()
            onnx.helper.set_model_props(best, {"mirante": model.info.to_json(), CHECK: json.dumps(noted)})
            write_file(path, lambda part: onnx.save_model(best, str(part)))
        except WorkError:
            raise
        except Exception as error:  # the quantiser has no errors of its own
            raise WorkError(f"{model.path}: this network could not be quantised ({error}).") from error
        finally:
            root.setLevel(level)


def _quantise(ready: Path, path: Path, calibration: Pixels, kept: list[str], bits: int) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Pixels] = iter(np.array_split(calibration, max(1, len(calibration) // 16)))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"images": np.ascontiguousarray(batch)}

    quantize_static(
        str(ready), str(path), Images(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=bits < 8,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, nodes_to_exclude=kept,
        op_types_to_quantize=["Conv", "Gemm", "MatMul", "MaxPool", "Relu", "Clip", "Add"],
        calibrate_method=CalibrationMethod.MinMax,
    )  # fmt: skip


def _corrected(made: onnx.ModelProto, model: onnx.ModelProto, images: Pixels) -> onnx.ModelProto:
    """Return the quantised graph, its last layer moved so that it gives the model's logits for the images; unchanged without one."""
    before, after = seen_as(model), seen_as(made)
    if before is None or after is None:
        return made
    weight, bias = read_head(model)
    own = inner_values(model, before, images, mirrored=True) @ weight.T + bias
    features = inner_values(made, after, images, mirrored=True)
    mean = features.mean(axis=0)
    apart = features - mean
    missing = own - (features @ weight.T + bias)
    penalty = _RIDGE * len(features) * max(float(apart.var()), 1e-12)
    # as many unknowns as there are images or features, whichever are fewer
    if len(apart) < apart.shape[1]:
        step = apart.T @ np.linalg.solve(apart @ apart.T + penalty * np.eye(len(apart)), missing - missing.mean(axis=0))
    else:
        step = np.linalg.solve(apart.T @ apart + penalty * np.eye(apart.shape[1]), apart.T @ missing)
    moved = bias + missing.mean(axis=0) - mean @ step
    gemm = next(node for node in made.graph.node if node.op_type == "Gemm" and node.input[0] == after)
    new = {gemm.input[1]: weight + step.T, gemm.input[2]: moved}
    for one in made.graph.initializer:
        if one.name in new:
            one.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(new[one.name], np.float32), one.name))
    return made


def _kept_in_float(model: onnx.ModelProto) -> list[str]:
    """Return the nodes that stay as they are: the first convolution, the last layer and what follows it, and the OOD score."""
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
    names += [node.name for node in model.graph.node if node.op_type == "Conv"][:1]
    return names


def compare(
    model: OnnxModel,
    whole: Callable[[Pixels], Any],
    call: Callable[[Pixels], NDArray[np.floating]],
    sizes: tuple[int, int],
    name: str,
    tried: Tried,
    batch: int = BATCH,
) -> Quantised:
    """Compare the probabilities that a quantised model answers with the original's, on the images.

    whole  answers in 32 bits in the same program; the two take turns, `batch` images at once
    sizes  of the two files, in bytes
    """
    answers = [model.run(tried.pixels).probabilities, call(tried.pixels)]
    info = model.info
    chosen = [info.asks.answered(found, info).reshape(len(found), -1) for found in answers]
    shares = [np.nan, np.nan]
    if tried.targets is not None:
        wanted = tried.targets.reshape(len(tried.targets), -1)
        shares = [float(((found == wanted) | (wanted < 0)).all(axis=1).mean()) for found in chosen]
    return Quantised(
        name,
        shares[1],
        shares[0],
        float((chosen[0] != chosen[1]).any(axis=1).mean()),
        float(np.abs(answers[0] - answers[1]).max()),
        relative_speed(whole, call, tried.pixels, batch),
        *sizes,
    )


def relative_speed(
    whole: Callable[[Pixels], Any], call: Callable[[Pixels], Any], pixels: Pixels, size: int = BATCH
) -> float:
    """Return how many times as fast as `whole` something answers pixels (N, H, W, C), in batches; the two take turns."""
    batch = np.ascontiguousarray(np.resize(pixels, (size, *pixels.shape[1:])))
    taken: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for number, one in enumerate((whole, call)):
            taken[number].append(_seconds(one, batch))
    before, after = (float(np.median(one)) for one in taken)
    return before / after


def _seconds(call: Callable[[NDArray[np.uint8]], Any], batch: NDArray[np.uint8]) -> float:
    began = time.perf_counter()
    call(batch)
    return time.perf_counter() - began
