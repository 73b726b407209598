"""The line of layers: `32C3-MP2-64C3-MP2-64N` becomes a tuple of layers with the sizes that flow between them.

Knows nothing of torch. docs/layers.md explains every word. Sizes are (height, width, channels), as in a picture.

    32C3       convolution: 32 kernels of 3×3, stride 1, no padding, ReLU      32C3same, 32C3/2, 32C3lin
    MP2  AP2   pooling by the maximum or the average of 2×2                    MP3/2
    GAP  GMP   the average or the maximum of each channel
    ATT        attention: one weighted average of each channel, or one for each of several answers (the characters of a text)
    64N        dense layer of 64 neurons, ReLU                                 64Nlin
    BN  D0.5   batch normalisation, dropout of half the values
    ReLU GELU  an activation by itself, after a layer that is `lin`
    W2         whitening: fixed kernels of 2×2, learned from the images' patches before training, each with its negative
    64B        a block of the fast networks: 64C3samelin-MP2-BN-ReLU-64C3samelin-BN-ReLU
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mirante.errors import LayersError

Shape = tuple[int, ...]
"""(height, width, channels) of an image or feature maps, (neurons,) once flattened, (answers, neurons) after an ATT for several
answers."""

Kind = Literal[
    "conv", "whiten", "maxpool", "avgpool", "gap", "gmp", "attention", "flatten", "dense", "reshape", "batchnorm",
    "dropout", "relu", "gelu",
]  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One layer. `word` is its text in the line (empty where implied); the other fields are used where they apply.

    units    kernels of a convolution, neurons of a dense layer, averages of an attention
    kernel   side of the kernel or of the pooling window, in pixels
    stride   in pixels
    padding  in pixels, on each side
    rate     share of values that dropout sets to zero
    output   shape of the output
    """

    kind: Kind
    word: str
    output: Shape
    units: int = 0
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    rate: float = 0.0


_BLOCK = "{0}C3samelin-MP2-BN-ReLU-{0}C3samelin-BN-ReLU"
_CONV = re.compile(r"(\d+)C(\d+)(same)?(?:/(\d+))?(lin)?")
_POOL = re.compile(r"([MA])P(\d+)(?:/(\d+))?")
_DENSE = re.compile(r"(\d+)N(lin)?")
_WHITEN = re.compile(r"W(\d+)")
_DROP = re.compile(r"D(0?\.\d+|0)")
_BLOCK_WORD = re.compile(r"(\d+)B")
_EXAMPLES = "32C3, MP2, AP2, GAP, GMP, ATT, 64N, BN, D0.5, ReLU, GELU, W2, 64B"
PRETRAINED = "timm:"
MAX_PARAMETERS = 500_000_000


def parse_layers(line: str, shape: tuple[int, int, int], outputs: Shape | int) -> tuple[Layer, ...]:
    """Return the layers of a line, including the implied flattening and output layer.

    line     the notation
    shape    (height, width, channels) of the images
    outputs  the shape of the logits of one image: (classes,), or (answers, classes) where an image has several answers, such as the
             characters of a text; a number is the number of classes

    Raises LayersError, which points at the word that is wrong or whose size does not fit.

    >>> [layer.output for layer in parse_layers("32C3-MP2-64N", (32, 32, 3), 10)]
    [(30, 30, 32), (30, 30, 32), (15, 15, 32), (7200,), (64,), (64,), (10,)]
    """
    layers: list[Layer] = []
    here: Shape = shape
    *several, classes = (outputs,) if isinstance(outputs, int) else outputs
    answers = several[0] if several else 0

    def add(kind: Kind, word: str, output: Shape, units: int = 0, **sizes: int) -> None:
        nonlocal here
        layers.append(Layer(kind, word, output, units, **sizes))
        here = output

    position = 0
    for word in line.split("-"):
        start = position
        position += len(word) + 1

        def refuse(reason: str, start: int = start, word: str = word) -> LayersError:
            return LayersError(f"{reason}\n  {line}\n  {' ' * start}{'^' * max(1, len(word))}")

        if block := _BLOCK_WORD.fullmatch(word):
            for inner in _BLOCK.format(block[1]).split("-"):
                _add_word(inner, here, answers, refuse, add, layers)
        else:
            _add_word(word, here, answers, refuse, add, layers)
        if _parameters_so_far(layers, shape) > MAX_PARAMETERS:
            raise refuse(f"{word} takes the model beyond {MAX_PARAMETERS:,} parameters; pool more before it.")
    if len(here) == 3:
        add("flatten", "", (here[0] * here[1] * here[2],))
    if len(here) == 2:  # every answer by the same neurons
        add("dense", "", (answers, classes), classes)
    elif answers:
        add("dense", "", (answers * classes,), answers * classes)
        add("reshape", "", (answers, classes))
    else:
        add("dense", "", (classes,), classes)
    return tuple(layers)


def is_own_code(line: str) -> bool:
    """Tell whether the line names a person's own function, `path.py:function`."""
    return ".py:" in line


def is_pretrained(line: str) -> bool:
    """Tell whether the line names a timm network, `timm:NAME`."""
    return line.startswith(PRETRAINED)


def has_layers(line: str) -> bool:
    """Tell whether the line is a line of layers, which can be shown in a table."""
    return not is_own_code(line) and not is_pretrained(line)


def _add_word(
    word: str,
    here: Shape,
    answers: int,
    refuse: Callable[[str], LayersError],
    add: Callable[..., None],
    layers: list[Layer],
) -> None:
    """Match one word and append its layers, or raise what `refuse` makes of the reason."""

    def size_of_maps() -> tuple[int, int, int]:
        if len(here) < 3:
            before = "a dense layer" if len(here) == 1 else "ATT"
            raise refuse(f"{word} after {before}: there are no rows and columns left; it must come before.")
        return here[0], here[1], here[2]

    def slide(kernel: int, stride: int, padding: int, what: str) -> tuple[int, int]:
        height, width, _ = size_of_maps()
        if kernel < 1 or stride < 1:
            raise refuse(f"{word}: a size of 0; it must be 1 or more.")
        if min(height, width) + 2 * padding < kernel:
            raise refuse(f"{word} after {height}×{width}: nothing left to {what}.")
        return tuple((side + 2 * padding - kernel) // stride + 1 for side in (height, width))  # type: ignore[return-value]

    if match := _CONV.fullmatch(word):
        units, kernel, stride = int(match[1]), int(match[2]), int(match[4] or 1)
        if match[3] and kernel % 2 == 0:
            raise refuse(f"{word}: `same` needs an odd kernel, such as {kernel + 1}.")
        if units < 1:
            raise refuse(f"{word}: no kernels; a convolution has 1 or more.")
        padding = kernel // 2 if match[3] else 0
        height, width = slide(kernel, stride, padding, "convolve")
        add("conv", word, (height, width, units), units, kernel=kernel, stride=stride, padding=padding)
        if not match[5]:
            add("relu", "", (height, width, units))
    elif match := _POOL.fullmatch(word):
        kernel = int(match[2])
        stride = int(match[3] or kernel)
        height, width = slide(kernel, stride, 0, "pool")
        kind: Kind = "maxpool" if match[1] == "M" else "avgpool"
        add(kind, word, (height, width, here[2]), kernel=kernel, stride=stride)
    elif word in ("GAP", "GMP"):
        add("gap" if word == "GAP" else "gmp", word, (size_of_maps()[2],))
    elif word == "ATT":
        channels = size_of_maps()[2]
        add("attention", word, (answers, channels) if answers else (channels,), answers or 1)
    elif match := _WHITEN.fullmatch(word):
        if layers:
            raise refuse(f"{word}: whitening works on the image's own pixels; it can only be the first word.")
        kernel = int(match[1])
        height, width = slide(kernel, 1, 0, "whiten")
        units = 2 * kernel**2 * here[2]
        add("whiten", word, (height, width, units), units, kernel=kernel)
        add("relu", "", (height, width, units))
    elif match := _DENSE.fullmatch(word):
        if int(match[1]) < 1:
            raise refuse(f"{word}: no neurons; a dense layer has 1 or more.")
        if len(here) == 3:
            add("flatten", "", (here[0] * here[1] * here[2],))
        output = (int(match[1]),) if len(here) != 2 else (here[0], int(match[1]))
        add("dense", word, output, int(match[1]))
        if not match[2]:
            add("relu", "", output)
    elif match := _DROP.fullmatch(word):
        layers.append(Layer("dropout", word, here, rate=float(match[1])))
    elif word == "BN":
        if len(here) == 2:
            raise refuse("BN after ATT: there is one row per answer; it must come before.")
        add("batchnorm", word, here)
    elif word in ("ReLU", "GELU"):
        add("relu" if word == "ReLU" else "gelu", word, here)
    elif not word:
        raise refuse("An empty word: two hyphens in a row, or one at either end.")
    else:
        raise refuse(f"{word!r} is not a layer; examples are {_EXAMPLES} (docs/layers.md).")


def parameters(layer: Layer, before: Shape) -> int:
    """Return the number of a layer's parameters, counted as Keras counts: batch normalisation's statistics too."""
    if layer.kind in ("conv", "whiten"):
        return (layer.kernel**2 * before[-1] + 1) * layer.units
    if layer.kind == "dense":
        return (before[-1] + 1) * layer.units
    if layer.kind == "attention":  # a kernel of 1×1 and one bias per place
        return (before[0] * before[1] + before[2]) * layer.units
    return 4 * before[-1] if layer.kind == "batchnorm" else 0


def multiply_adds(layers: tuple[Layer, ...], shape: Shape) -> int:
    """Return how many multiplications and additions one image of this shape takes, in convolutions and dense layers."""
    befores = [shape, *(layer.output for layer in layers)]
    return sum(
        parameters(layer, before) * math.prod(layer.output[:-1])  # at every place
        for layer, before in zip(layers, befores, strict=False)
        if layer.kind in ("conv", "whiten", "dense")
    )


def _parameters_so_far(layers: list[Layer], shape: Shape) -> int:
    befores = [shape, *(layer.output for layer in layers)]
    return sum(parameters(layer, before) for layer, before in zip(layers, befores, strict=False))
