"""A folder with model.safetensors and model.py: the network for those who have PyTorch but not Mirante, some forty lines to read."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

from mirante.errors import RequestError
from mirante.exports.form import Answers, Job, Written
from mirante.files import write_file, write_text
from mirante.images import Pixels
from mirante.locale import language
from mirante.model.backbone import ROOT, Backbone
from mirante.model.network import Attention, Network, Whitening, load_network
from mirante.model_info import ModelInfo

_HEAD = '''"""{title}

    from model import Model
    probabilities = Model.load("model.safetensors")(images)

images: a uint8 tensor (N, {height}, {width}, {channels}){shown}.
{takes}
probabilities: (N, {answers}), of CLASSES in order, calibrated.
"""

from safetensors.torch import load_file
import torch
from torch import nn{more_imports}

CLASSES = {classes}
'''

_ATTENTION = '''

class Attention(nn.Module):
    """Weighted averages of feature maps over their places; the weights are a softmax of a 1x1 kernel's output plus a bias."""

    def __init__(self, channels, looks, height, width, answers):
        super().__init__()
        self.score = nn.Conv2d(channels, looks, 1, bias=False)
        self.place = nn.Parameter(torch.zeros(looks, height, width))
        self.answers = answers

    def forward(self, maps):
        weights = (self.score(maps) + self.place).flatten(2).softmax(2)
        means = weights @ maps.flatten(2).transpose(1, 2)
        return means if self.answers else means[:, 0]
'''

_BACKBONE = '''

class Backbone(nn.Module):
    """A timm network with its own last layer; pixels normalised as its authors did."""

    def __init__(self):
        super().__init__()
        self.body = timm.create_model({name!r}, num_classes=0)
        self.head = nn.Linear({width}, {classes})
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("std", torch.ones(1, 3, 1, 1))

    def forward(self, pixels):
        return self.head(self.body((pixels.expand(-1, 3, -1, -1) - self.mean) / self.std){root})
'''

_MODEL = """

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = {body}
        self.register_buffer("scales", torch.ones({count}))
        self.register_buffer("shifts", torch.zeros({count}))

    @classmethod
    def load(cls, path):
        model = cls()
        model.load_state_dict(load_file(path))
        return model.eval()

    def forward(self, images):
        pixels = images.permute(0, 3, 1, 2).float() / 255
        logits = self.body(pixels)
{mirror}        return (logits * self.scales + self.shifts).{activation}
"""


def write(job: Job) -> Written:
    """Write model.py and model.safetensors. Raises as `write_torch` does."""
    return Written(job.difference(write_torch(job.run.name, job.info, job.weights, job.folder)))


def write_torch(run_name: str, info: ModelInfo, weights: Path, folder: Path) -> Answers:
    """Write both files into the folder, and return what they answer. Raises RequestError for a person's own function."""
    network = load_network(info, weights)
    source = _source(run_name, info, network)
    write_text(folder / "model.py", source)
    tensors = {name: one.contiguous() for name, one in network.state_dict().items()}
    scales, shifts = map(torch.from_numpy, info.calibration)
    tensors |= {"scales": scales, "shifts": shifts}
    write_file(folder / "model.safetensors", lambda part: save_file(tensors, part))
    module: dict[str, Any] = {"__name__": "mirante_exported_model"}
    exec(compile(source, "model.py", "exec"), module)  # written a moment ago, by this function
    model = module["Model"].load(folder / "model.safetensors")

    return in_parts(model)


def in_parts(model: Callable[[torch.Tensor], torch.Tensor]) -> Answers:
    """Return what a model of uint8 images (N, H, W, C) answers to pixels, so many of them at a time as fit anywhere."""

    def answers(pixels: Pixels) -> NDArray[np.floating]:
        with torch.no_grad():
            parts = [model(torch.from_numpy(pixels[start : start + 64])) for start in range(0, len(pixels), 64)]
        found: NDArray[np.floating] = torch.cat(parts).numpy()
        return found

    return answers


def _source(run_name: str, info: ModelInfo, network: Network) -> str:
    count = len(info.classes)
    text = _HEAD.format(
        title=f"{run_name}: a model of the task {info.task}, by Mirante. {info.layers}".replace('"""', "'''"),
        height=info.height,
        width=info.width,
        channels=info.channels,
        shown={"crop": ", the centre of each image", "pad": ", each image with black around it"}.get(info.fit, ""),
        takes=textwrap.fill(info.takes(language("en")), 110),
        answers=", ".join(map(str, info.output)),
        more_imports="\nimport timm" if isinstance(network.body, Backbone) else "",
        classes=textwrap.fill(repr(list(info.classes)), 110, subsequent_indent="    "),
    )
    if isinstance(network.body, Backbone):
        text += _backbone_source(network.body, info)
        body = "Backbone()"
    elif isinstance(network.body, nn.Sequential):
        if any(isinstance(part, Attention) for part in network.body.modules()):
            text += _ATTENTION
        lines = "".join(f"            {_layer(part)},\n" for part in network.body)
        body = f"nn.Sequential(\n{lines}        )"
    else:
        raise RequestError(f"{info.layers}: a network from your own file must be exported by that file itself.")
    activation = "sigmoid()" if info.asks.activation == "sigmoid" else "softmax(-1)"
    mirror = "        logits = (logits + self.body(pixels.flip(3))) / 2\n" if info.flip_tta else ""
    return text + _MODEL.format(body=body, count=count, mirror=mirror, activation=activation)


def _layer(part: nn.Module) -> str:
    match part:
        case nn.Sequential():
            return f"nn.Sequential({', '.join(map(_layer, part))})"
        case Attention():
            looks, height, width = part.place.shape
            return f"Attention({part.score.in_channels}, {looks}, {height}, {width}, {part.answers})"
        case Whitening():
            return f"nn.Conv2d({part.in_channels}, {part.out_channels}, {part.kernel_size[0]})"
        case nn.Unflatten():
            return f"nn.Unflatten({part.dim}, {tuple(part.unflattened_size)})"
        case _:
            return f"nn.{part!r}"


def _backbone_source(body: Backbone, info: ModelInfo) -> str:
    name = info.layers.removeprefix("timm:")
    return _BACKBONE.format(
        name=name,
        width=body.head.in_features,
        classes=len(info.classes),
        root=f".add({ROOT}).sqrt()" if body.root else "",
    )
