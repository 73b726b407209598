"""A pretrained network as the body of a model: `timm:NAME`. Its weights come from a package, a file, or the hub."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirante.errors import RequestError
from mirante.model.efficientnet_lite import EfficientNetLite, is_lite
from mirante.model.notation import PRETRAINED
from mirante.model.packages import OFFLINE, PACKAGES, Package, at_hand

ROOT = 0.01
"""Added to features that are never negative before their square root is taken, whose slope would be infinite at 0."""


@dataclass(frozen=True)
class Pretrained:
    """Where weights come from. `digest` names them in caches; `licence` is written into the model."""

    source: str
    digest: str
    licence: str
    tensors: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Backbone(nn.Module):
    """A timm network without its classes, then one dense layer. Takes (N, 1 or 3, H, W) float in 0..1.

    digest and licence are those of its weights. With `root`, the features of an EfficientNet-Lite, which are never negative, are
    square roots: a few strong ones say less than many weak ones, and a last layer on them makes 3 to 6% fewer mistakes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, weights: Pretrained, size: tuple[int, int], classes: int) -> None:
        super().__init__()
        self.digest, self.licence = weights.digest, weights.licence
        self.body: nn.Module = _empty(name).eval()
        _fill(self.body, weights, name)
        try:
            with torch.no_grad():
                width = self.body(torch.zeros(1, 3, *size)).shape[1]
        except (RuntimeError, AssertionError) as error:
            own = _timm().get_pretrained_cfg(name).input_size[1:]
            raise RequestError(
                f"timm:{name} does not take images of {size[0]}×{size[1]}; its own size is --size {own[0]}x{own[1]}."
            ) from error
        self.root = self.body.__class__ is EfficientNetLite
        self.head = nn.Linear(width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("mean", torch.tensor(weights.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(weights.std).view(1, 3, 1, 1))

    def features(self, pixels: Tensor) -> Tensor:
        """Return features (N, width of the last layer) of pixels (N, C, H, W); grey is seen as three equal channels."""
        found: Tensor = self.body((pixels.expand(-1, 3, -1, -1) - self.mean) / self.std)
        return (found + ROOT).sqrt() if self.root else found

    def train(self, mode: bool = True) -> Backbone:
        """As in torch, but batch normalisation keeps the statistics of the many images it was pretrained on."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        logits: Tensor = self.head(self.features(pixels))
        return logits


def find_weights(line: str, file: str = "") -> Pretrained:
    """Return the pretrained weights of `timm:NAME`: from a .safetensors file, else a package, else the hub.

    Raises RequestError when timm does not know the name, or no weights can be had.
    """
    if not file and at_hand(line):
        return _packaged(PACKAGES[line])
    name = line.removeprefix(PRETRAINED)
    timm = _timm()
    if name.partition(".")[0] not in timm.list_models():
        close = ", ".join(timm.list_models(f"*{name[:8]}*")[:3])
        raise RequestError(f"{line}: timm has no network of that name{f'; similar names: {close}' if close else ''}.")
    settings = timm.get_pretrained_cfg(name)
    if file:
        return _read(Path(file), file, settings.mean, settings.std, "of the file's own terms")
    if settings is None or not settings.hf_hub_id:
        raise RequestError(f"{line}: timm has no weights for it; name some with --weights FILE.safetensors.")
    return _read(_download(line, settings.hf_hub_id), settings.hf_hub_id, settings.mean, settings.std, settings.license)


def _timm() -> Any:
    import timm  # takes seconds

    return timm


def _empty(name: str) -> nn.Module:
    """Return the network without its classes, its weights still to be filled in."""
    if is_lite(name):
        return EfficientNetLite(name)
    created: nn.Module = _timm().create_model(name, pretrained=False, num_classes=0)
    return created


def _fill(body: nn.Module, weights: Pretrained, name: str) -> None:
    """Put the weights into the network: by name, or in order if all shapes agree (for other naming conventions)."""
    wanted = body.state_dict()
    tensors = weights.tensors
    if not set(wanted) <= set(tensors):
        values = list(tensors.values())[: len(wanted)]
        if [one.shape for one in values] != [one.shape for one in wanted.values()]:
            raise RequestError(f"{weights.source}: these are not the weights of {name}; their shapes differ.")
        tensors = dict(zip(wanted, values, strict=True))
    try:
        body.load_state_dict({key: tensors[key] for key in wanted})
    except RuntimeError as error:
        raise RequestError(f"{weights.source}: these are not the weights of {name}; their shapes differ.") from error


def _packaged(package: Package) -> Pretrained:
    file = package.file()
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    half = (0.5, 0.5, 0.5)
    return Pretrained(package.name, package.sha256, "Apache-2.0", tensors, half, half)


def _read(file: Path, source: str, mean: Any, std: Any, licence: str | None) -> Pretrained:
    from safetensors.torch import load

    try:
        content = file.expanduser().read_bytes()
        tensors = load(content)
    except FileNotFoundError as error:
        raise RequestError(f"{file}: no such file of weights.") from error
    except Exception as error:  # safetensors has its own errors, but none of them says more
        raise RequestError(
            f"{file}: not a .safetensors file; weights in .pth can run code and are not opened."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    return Pretrained(source, digest, licence or "unknown", tensors, tuple(mean), tuple(std))


def _download(line: str, repository: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # no network, no such file, no space: each its own class, from several libraries
        raise RequestError(
            f"{line}: its weights could not be downloaded from the hub ({type(error).__name__}); without a network, use "
            f"{OFFLINE}, which 'mirante[train]' installs, or --weights FILE.safetensors for a file."
        ) from error
