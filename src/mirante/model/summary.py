"""The table of layers: what each takes in parameters and gives in shape, as Keras prints it.

Activations are part of the layer before them, as in Keras, unless the line names them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mirante.model.notation import Layer, Shape, parameters

_NAMES = {
    "conv": "Conv2D",
    "whiten": "Whitening2D",
    "maxpool": "MaxPooling2D",
    "avgpool": "AveragePooling2D",
    "gap": "GlobalAveragePooling2D",
    "gmp": "GlobalMaxPooling2D",
    "attention": "AttentionPooling2D",
    "flatten": "Flatten",
    "dense": "Dense",
    "characters": "Reshape",
    "batchnorm": "BatchNormalization",
    "dropout": "Dropout",
    "relu": "ReLU",
    "gelu": "GELU",
}


@dataclass(frozen=True)
class SummaryRow:
    """One line of the table; `word` is the layer's word in the notation, empty where it is implied."""

    name: str
    kind: str
    word: str
    shape: Shape
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The whole table. Batch normalisation's running statistics and whitening are not trained."""

    rows: tuple[SummaryRow, ...]
    total: int
    trainable: int


def summarise(layers: tuple[Layer, ...], shape: Shape) -> Summary:
    """Return the table of the layers for images of this (height, width, channels)."""
    rows: list[SummaryRow] = []
    seen: Counter[str] = Counter()
    fixed, before = 0, shape
    for layer in layers:
        count = parameters(layer, before)
        if layer.kind in ("batchnorm", "whiten"):
            fixed += count // 2 if layer.kind == "batchnorm" else count
        before = layer.output
        if layer.kind == "relu" and not layer.word:
            continue
        kind = _NAMES[layer.kind]
        stem = {"conv": "conv2d", "batchnorm": "batch_normalization"}.get(layer.kind, kind.lower())
        name = f"{stem}_{seen[stem]}" if seen[stem] else stem
        seen[stem] += 1
        rows.append(SummaryRow(name, kind, layer.word, layer.output, count))
    total = sum(row.parameters for row in rows)
    return Summary(tuple(rows), total, total - fixed)
