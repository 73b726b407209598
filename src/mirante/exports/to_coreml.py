"""An .mlpackage for Apple's devices. It is converted here, and cannot be run here: only Apple's systems have Core ML."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from mirante.errors import RequestError
from mirante.exports.form import Answers, Job, Written
from mirante.exports.to_torch import in_parts
from mirante.model.network import load_network
from mirante.model_info import ModelInfo


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
    return Written(job.difference(write_coreml(job.info, job.weights, job.folder / "model.mlpackage")))


def write_coreml(info: ModelInfo, weights: Path, path: Path) -> Answers:
    """Write the package; return what the network answers that was converted, to pixels (N, H, W, C). Raises RequestError."""
    if find_spec("coremltools") is None:
        raise RequestError("--to coreml needs one more package; pip install 'mirante[coreml]'.")
    import coremltools

    model = _OfImage(info, weights).eval()
    shape = (1, info.channels, info.height, info.width)
    layout = coremltools.colorlayout.GRAYSCALE if info.channels == 1 else coremltools.colorlayout.RGB
    one_class = info.asks.one_class
    logging.getLogger("coremltools").setLevel(
        logging.ERROR
    )  # which releases of torch and scikit-learn it was tried with
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = coremltools.convert(
            torch.jit.trace(model, torch.zeros(shape)),  # type: ignore[no-untyped-call, unused-ignore]
            inputs=[coremltools.ImageType(name="image", shape=shape, scale=1 / 255, color_layout=layout)],
            outputs=[coremltools.TensorType(name="probabilities")],
            classifier_config=coremltools.ClassifierConfig(list(info.classes)) if one_class else None,
            convert_to="mlprogram",
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target.iOS15,
        )
        made.short_description = f"{info.task}: {', '.join(info.classes[:20])}. Calibrated by Mirante."
        made.user_defined_metadata["mirante"] = info.to_json()
        made.save(str(path))

    return in_parts(lambda images: model(images.permute(0, 3, 1, 2).float() / 255))
