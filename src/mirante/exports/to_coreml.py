"""An .mlpackage for Apple's devices. It is converted here, and cannot be run here: only Apple's systems have Core ML.

In 8 bits its kernels are rounded, each with a scale of its own. They are rounded in torch first, where the network can be asked what
that costs; coremltools then finds the same numbers, which is checked.
"""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stderr
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mirante.errors import RequestError, WorkError
from mirante.exports.form import Answers, Job, Written
from mirante.exports.int8 import Quantised, compare
from mirante.exports.to_torch import in_parts
from mirante.model.network import load_network
from mirante.model_info import ModelInfo

_NAME = "model.mlpackage"
_SMALL = 2048  # numbers; kernels of no more stay as they are
_STEPS = 127  # from 0 to the largest number of a kernel


class _OfImage(nn.Module):
    """The network and its calibration, for pixels from 0 to 1 as (N, channels, height, width): what Core ML makes of an image."""

    def __init__(self, info: ModelInfo, weights: Path) -> None:
        super().__init__()
        self.body, self.mirrored = load_network(info, weights).body, info.flip_tta
        self.activation = nn.Sigmoid() if info.asks.activation == "sigmoid" else nn.Softmax(-1)
        scales, shifts = map(torch.from_numpy, info.calibration)
        self.register_buffer("scales", scales)
        self.register_buffer("shifts", shifts)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = self.body(pixels)
        if self.mirrored:
            logits = (logits + self.body(pixels.flip(3))) / 2
        found: torch.Tensor = self.activation(logits * self.scales + self.shifts)
        return found


def write(job: Job) -> Written:
    """Write model.mlpackage. Raises as `write_coreml` does."""
    answers = write_coreml(job.info, job.weights, job.folder / _NAME)
    text = "Core ML runs on Apple's systems only: what was tried is the network that was converted, not the package."
    return Written(job.difference(answers), answers=answers, remark=job.say(text))


def write_int8(job: Job, written: Written) -> Quantised:
    """Write model-int8.mlpackage. Raises as `write_coreml_int8` does."""
    small = job.folder / "model-int8.mlpackage"
    answers = write_coreml_int8(job.info, job.weights, small)
    sizes = _bytes(small), _bytes(job.folder / _NAME)
    return replace(compare(job.model, job.model.run, answers, sizes, small.name, job.tried), speed=nan)


def write_coreml(info: ModelInfo, weights: Path, path: Path) -> Answers:
    """Write the package; return what the network answers that was converted, to pixels (N, H, W, C). Raises RequestError."""
    model = _OfImage(info, weights).eval()
    _converted(model, info, "iOS15").save(str(path))
    return _answers(model)


def write_coreml_int8(info: ModelInfo, weights: Path, path: Path) -> Answers:
    """Write the package with its kernels in 8 bits; return what a network with these kernels answers, to pixels (N, H, W, C).

    Raises RequestError without coremltools, WorkError when the package does not hold the kernels that were tried.
    """
    model = _OfImage(info, weights).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1 and parameter.numel() > _SMALL:
            parameter.data = _rounded(parameter.data)
    whole = _converted(model, info, "iOS16")  # the first that reads such kernels
    with redirect_stderr(io.StringIO()):
        import coremltools.optimize.coreml as optimise

        config = optimise.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=_SMALL)
        small = optimise.linear_quantize_weights(whole, config=optimise.OptimizationConfig(global_config=config))
        kernels, read = (
            [one.val for one in optimise.get_weights_metadata(made, weight_threshold=_SMALL).values()]
            for made in (whole, optimise.decompress_weights(small))
        )
    for kernel in kernels:
        step = np.abs(kernel).max() / _STEPS
        if not any(one.shape == kernel.shape and np.abs(one - kernel).max() < step / 100 for one in read):
            raise WorkError(f"{path.name}: coremltools rounded a kernel otherwise than was tried; leave out --int8.")
    small.save(str(path))
    return _answers(model)


def _converted(model: _OfImage, info: ModelInfo, target: str) -> Any:
    """Return the network as coremltools has it, for systems from `target` on. Raises RequestError without coremltools."""
    if find_spec("coremltools") is None:
        raise RequestError("--to coreml needs one more package; pip install 'mirante[coreml]'.")
    shape = (1, info.channels, info.height, info.width)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # of progress, and of what it was not tried with
        warnings.simplefilter("ignore")
        import coremltools

        _take_integers()
        logging.getLogger("coremltools").setLevel(logging.ERROR)
        layout = coremltools.colorlayout.GRAYSCALE if info.channels == 1 else coremltools.colorlayout.RGB
        made = coremltools.convert(
            torch.jit.trace(model, torch.zeros(shape)),  # type: ignore[no-untyped-call, unused-ignore]
            inputs=[coremltools.ImageType(name="image", shape=shape, scale=1 / 255, color_layout=layout)],
            outputs=[coremltools.TensorType(name="probabilities")],
            classifier_config=coremltools.ClassifierConfig(list(info.classes)) if info.asks.one_class else None,
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target[target],
        )
    made.short_description = f"{info.task}: {', '.join(info.classes[:20])}. Calibrated by Mirante."
    made.user_defined_metadata["mirante"] = info.to_json()
    return made


@cache
def _take_integers() -> None:
    """Teach coremltools (9.0) that an array of one number is an integer, which NumPy 2.4 no longer says by itself."""
    from coremltools.converters.mil import Builder, register_torch_op
    from coremltools.converters.mil.frontend.torch.ops import _int

    @register_torch_op(torch_alias=["int"], override=True)  # type: ignore[misc, untyped-decorator, unused-ignore]
    def _whole_number(context: Any, node: Any) -> None:
        known = context[node.inputs[0]]
        if known.can_be_folded_to_const() and np.size(known.val) == 1:
            context.add(Builder.const(val=int(np.asarray(known.val).item()), name=node.name))
        else:
            _int(context, node)


def _rounded(kernels: torch.Tensor) -> torch.Tensor:
    """Return kernels (units, …) as 8 bits hold them, a scale for each unit."""
    scales = kernels.flatten(1).abs().amax(1).clamp_min(1e-12) / _STEPS
    scales = scales.view(-1, *[1] * (kernels.ndim - 1))
    found: torch.Tensor = (kernels / scales).round() * scales
    return found


def _answers(model: _OfImage) -> Answers:
    return in_parts(lambda images: model(images.permute(0, 3, 1, 2).float() / 255))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
