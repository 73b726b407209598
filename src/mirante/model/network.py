"""The torch network that a line of layers stands for: uint8 images (N, H, W, C) in, logits (N, classes) out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn

from mirante.errors import LayersError
from mirante.model.notation import Layer, Shape, is_own_code, parse_layers


class Network(nn.Module):
    """Scales pixels to 0..1, then runs `body`, which takes (N, C, H, W) float."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) of images uint8 (N, H, W, C)."""
        # the permuted view is what torch calls channels_last, its faster layout on CPU and GPU alike
        logits: Tensor = self.body(images.permute(0, 3, 1, 2).to(torch.float32) / 255.0)
        return logits


def build_network(line: str, shape: tuple[int, int, int], classes: int) -> Network:
    """Return the network of a line of layers, or of `path.py:function`, for images (height, width, channels).

    A person's own function is called with (shape, classes) and returns a torch module that takes float images
    (N, C, H, W) in 0..1 and returns logits (N, classes). Weights start as in Keras: Glorot uniform, biases zero.

    Raises LayersError.
    """
    if is_own_code(line):
        return Network(_own_module(line, shape, classes))
    layers = parse_layers(line, shape, classes)
    before: Shape = shape
    modules = []
    for layer in layers:
        modules.append(_module(layer, before))
        before = layer.output
    network = Network(nn.Sequential(*modules))
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _module(layer: Layer, before: Shape) -> nn.Module:
    match layer.kind:
        case "conv":
            conv = nn.Conv2d(before[-1], layer.units, layer.kernel, layer.stride, layer.padding)
            return _start(conv, conv.weight, conv.bias)
        case "dense":
            dense = nn.Linear(before[-1], layer.units)
            return _start(dense, dense.weight, dense.bias)
        case "maxpool":
            return nn.MaxPool2d(layer.kernel, layer.stride)
        case "avgpool":
            return nn.AvgPool2d(layer.kernel, layer.stride)
        case "gap":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "batchnorm":
            return nn.BatchNorm2d(before[-1]) if len(before) == 3 else nn.BatchNorm1d(before[-1])
        case "dropout":
            return nn.Dropout(layer.rate)
        case "flatten":
            return nn.Flatten()
        case "relu":
            return nn.ReLU()
        case "gelu":
            return nn.GELU()


def _start(module: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    nn.init.xavier_uniform_(weight)
    if bias is not None:
        nn.init.zeros_(bias)
    return module


def _own_module(line: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    file, _, name = line.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise LayersError(f"{file}: no such file; a network of your own is given as path.py:function.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        network = getattr(module, name)(shape, classes)
        with torch.no_grad():
            network.eval()
            logits = network(torch.zeros(2, shape[2], shape[0], shape[1]))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise LayersError(
            f"{line}: failed with {type(error).__name__}: {reason}; called with {shape} and {classes}."
        ) from error
    if not isinstance(network, nn.Module) or not isinstance(logits, Tensor) or tuple(logits.shape) != (2, classes):
        raise LayersError(f"{line}: must return a torch module whose output is (N, {classes}) for images (N, C, H, W).")
    return network
