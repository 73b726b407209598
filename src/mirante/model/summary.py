"""The table of layers: the parameters and output shape of each, as Keras prints it.

Activations are part of the layer before them, as in Keras, unless the line names them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mirante.errors import RequestError
from mirante.model.notation import Layer, Shape, has_layers, parameters, parse_layers
from mirante.model_info import read_model_info
from mirante.runfolder import require_run

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
    "reshape": "Reshape",
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

    line: str
    shape: Shape
    rows: tuple[SummaryRow, ...]
    total: int
    trainable: int

    def __str__(self) -> str:
        lines = [f"{row.name:<26} {row.word:<12} {row.shape!s:<16} {row.parameters:>12,}" for row in self.rows]
        return "\n".join([*lines, f"{'total':<56} {self.total:>12,}", f"{'trainable':<56} {self.trainable:>12,}"])


def summary(what: str | Path, shape: tuple[int, int, int] = (32, 32, 3), outputs: Shape | int = 10) -> Summary:
    """Return the table of a line of layers for images of this (height, width, channels), or of a run folder's network.

    outputs  number of classes, or (answers, classes) where an image has several answers

    Raises LayersError for a misspelt line, RunError for a run that is missing, RequestError for a network that is not a line
    of layers.

    >>> summary("32C3-MP2-64C3-MP2-64N").total
    167562
    """
    line, path = str(what), Path(what).expanduser()
    if path.exists() or (has_layers(line) and len(path.parts) > 1):  # no layer has a / in its name
        require_run(path)
        info = read_model_info(path)
        line, shape, outputs = info.layers, info.shape, info.output
    if not has_layers(line):
        raise RequestError(f"{line}: not a line of layers; only those have a table.")
    return summarise(parse_layers(line, shape, outputs), shape, line)


def summarise(layers: tuple[Layer, ...], shape: Shape, line: str = "") -> Summary:
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
    return Summary(line, shape, tuple(rows), total, total - fixed)
