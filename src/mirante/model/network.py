"""The torch network that a line of layers stands for: uint8 images (N, H, W, C) in, logits (N, classes) out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from mirante.errors import LayersError, RequestError, RunError
from mirante.model.backbone import Backbone, Pretrained, find_weights
from mirante.model.notation import PRETRAINED, Layer, Shape, has_layers, is_own_code, is_pretrained, parse_layers
from mirante.model_info import ModelInfo


class Whitening(nn.Conv2d):
    """Fixed kernels that whiten a patch's pixels: uncorrelated, each with variance 1; and their negatives.

    They are random until `learn` has seen images. Coates and Ng, "Learning feature representations with k-means", 2012;
    as the first layer of fast CIFAR-10 networks: Page 2019, Jordan 2024.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, 2 * kernel**2 * channels, kernel)
        self.requires_grad_(False)

    @torch.no_grad()
    def learn(self, images: Tensor, least_variance: float = 5e-4) -> None:
        """Set the kernels from the patches of images float (N, C, H, W) in 0..1."""
        patches = F.unfold(images, self.kernel_size).transpose(1, 2).flatten(0, 1)  # (patches, C·k·k)
        mean, spread = patches.mean(0), patches.std().clamp(min=1 / 255)
        centred = (patches - mean) / spread
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))
        kernels = (directions / torch.sqrt(variances.clamp(min=0) + least_variance)).T.flip(0) / spread
        kernels = torch.cat([kernels, -kernels])
        self.bias.copy_(-kernels @ mean)  # type: ignore[union-attr]
        self.weight.copy_(kernels.view_as(self.weight))


class Attention(nn.Module):
    """Weighted averages of feature maps (N, C, H, W) over their places: (N, C), or for several answers (N, answers, C).

    The weight of a place is a softmax over all places of what a 1×1 kernel finds there plus the place's bias. Each answer starts
    at its share of the width, left to right; a single average starts uniform. Soft attention as in Bahdanau, Cho, Bengio, "Neural
    machine translation by jointly learning to align and translate", ICLR 2015, with a learned query for each answer.
    """

    def __init__(self, shape: tuple[int, int, int], answers: int) -> None:
        super().__init__()
        height, width, channels = shape
        self.score = nn.Conv2d(channels, answers or 1, 1, bias=False)
        nn.init.zeros_(self.score.weight)
        self.place = nn.Parameter(torch.zeros(answers or 1, height, width))
        self.answers = answers
        if answers:
            across = answers * (torch.arange(width) + 0.5) / width  # 0 to answers
            own = torch.arange(answers)[:, None, None] + 0.5
            self.place.data -= (across - own) ** 2

    def forward(self, maps: Tensor) -> Tensor:
        weights = (self.score(maps) + self.place).flatten(2).softmax(2)
        means: Tensor = weights @ maps.flatten(2).transpose(1, 2)
        return means if self.answers else means[:, 0]


class Network(nn.Module):
    """Scales pixels to 0..1, then runs `body`, which takes (N, C, H, W) float.

    With `flip_tta` it returns the mean of the logits of each image and its mirror image.
    """

    def __init__(self, body: nn.Module, flip_tta: bool = False) -> None:
        super().__init__()
        self.body = body
        self.flip_tta = flip_tta

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, …, classes) of images uint8 (N, H, W, C), as model.onnx gives them."""
        logits = self.look(images)
        return (logits + self.look(images.flip(2))) / 2 if self.flip_tta else logits

    def look(self, images: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the logits of one look at the images, seen at another size (height, width) if one is given.

        This is what is trained.
        """
        # the permuted view is what torch calls channels_last, its faster layout on CPU and GPU alike
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        if size is not None and size != images.shape[1:3]:
            pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.body(pixels)
        return logits

    def learn_whitening(self, images: Tensor) -> None:
        """Let a whitening layer, if there is one, see some training images uint8 (N, H, W, C)."""
        if isinstance(self.body, nn.Sequential) and isinstance(self.body[0], Whitening):
            self.body[0].learn(images.permute(0, 3, 1, 2).to(torch.float32) / 255.0)


def build_network(
    line: str, shape: tuple[int, int, int], outputs: Shape | int, flip_tta: bool = False, weights: str = ""
) -> Network:
    """Return the network of a line of layers, `timm:NAME` or `path.py:function`, for images (height, width, channels).

    A person's own function is called with (shape, classes) and returns a torch module that takes float images
    (N, C, H, W) in 0..1 and returns logits (N, classes). Weights start as in Keras: Glorot uniform, biases zero.
    With `flip_tta` its answers are the mean over the image and its mirror image.
    `outputs` is the shape of the logits of one image, as in parse_layers; only a line of layers has several answers.
    `weights` is a file of pretrained weights for `timm:NAME`.

    Raises LayersError, and RequestError when there are no weights.
    """
    *several, classes = (outputs,) if isinstance(outputs, int) else outputs
    if several and not has_layers(line):
        raise RequestError(f"{line}: only a line of layers can have several answers per image.")
    if is_pretrained(line):
        backbone = Backbone(line.removeprefix(PRETRAINED), find_weights(line, weights), shape[:2], classes)
        return Network(backbone, flip_tta)
    if is_own_code(line):
        return Network(_own_module(line, shape, classes), flip_tta)
    layers = parse_layers(line, shape, outputs)
    before: Shape = shape
    modules = []
    for layer in layers:
        modules.append(_module(layer, before))
        before = layer.output
    network = Network(nn.Sequential(*modules), flip_tta)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def load_network(info: ModelInfo, file: Path) -> Network:
    """Return a trained network with the weights of its run's model.safetensors.

    Raises RunError when they do not fit, RequestError for a person's own function: no code that a run names is executed.
    """
    from safetensors.torch import load_file

    if is_own_code(info.layers):
        raise RequestError(f"{info.layers}: a network from your own file is not run again; only its model.onnx is.")
    try:
        tensors = load_file(file)
        if is_pretrained(info.layers):
            own = {
                name.removeprefix("body.body."): one for name, one in tensors.items() if name.startswith("body.body.")
            }
            mean, std = (tuple(tensors[f"body.{name}"].flatten().tolist()) for name in ("mean", "std"))
            weights = Pretrained(str(file), "", info.licence or "", own, mean, std)
            backbone = Backbone(info.layers.removeprefix(PRETRAINED), weights, info.size, len(info.classes))
            backbone.root = info.rooted
            network = Network(backbone, info.flip_tta)
        else:
            network = build_network(info.layers, info.shape, info.output, info.flip_tta)
        network.load_state_dict(tensors)
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise RunError(f"{file}: missing or damaged; train the model again.") from error
    return network.eval()


def _module(layer: Layer, before: Shape) -> nn.Module:
    match layer.kind:
        case "conv":
            conv = nn.Conv2d(before[-1], layer.units, layer.kernel, layer.stride, layer.padding)
            return _start(conv, conv.weight, conv.bias)
        case "dense":
            dense = nn.Linear(before[-1], layer.units)
            return _start(dense, dense.weight, dense.bias)
        case "whiten":
            return Whitening(before[-1], layer.kernel)
        case "maxpool":
            return nn.MaxPool2d(layer.kernel, layer.stride)
        case "avgpool":
            return nn.AvgPool2d(layer.kernel, layer.stride)
        case "gap":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "gmp":
            return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        case "attention":
            height, width, channels = before
            return Attention((height, width, channels), layer.output[0] if len(layer.output) == 2 else 0)
        case "reshape":
            return nn.Unflatten(1, layer.output)
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
        raise LayersError(f"{file}: no such file; write your own network as path.py:function.")
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
