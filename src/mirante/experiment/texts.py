"""Texts: what is learned from readings of images kept apart, what a finished model reads, and where it looked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.evaluation.plots.style import png
from mirante.evaluation.plots.texts import attention_grid
from mirante.evaluation.texts import TextAnswers
from mirante.experiment.calibrate import HeldOut
from mirante.files import write_bytes
from mirante.images import Pixels
from mirante.model.export import ATTENTION
from mirante.model.running import open_graph
from mirante.prediction.calibration import fit_confidence_threshold, fit_power, fit_temperature, softmax
from mirante.prediction.onnx_model import OnnxModel
from mirante.runfolder import ModelInfo

_DRAWN = 4


def learn_from_texts(known: HeldOut, dataset: Dataset, info: ModelInfo) -> ModelInfo:
    """Return the model with what readings of images that it was not trained on teach: temperature, power, and when it is sure."""
    labels = dataset.labels[known.rows]
    if not len(labels):
        return info
    letters = known.logits.reshape(-1, len(info.classes))
    temperature = fit_temperature(letters, labels.ravel())
    shares = softmax(letters / temperature).reshape(known.logits.shape)
    right = (shares.argmax(axis=2) == labels).all(axis=1)
    products = shares.max(axis=2).prod(axis=1)
    power = fit_power(products, right)
    return replace(
        info,
        temperature=temperature,
        power=power,
        confidence_threshold=fit_confidence_threshold(products**power, right),
    )


def texts_of(model: OnnxModel, pixels: Pixels, rows: NDArray[np.int64]) -> TextAnswers:
    """Return what a finished model reads in these rows of the data set."""
    found = model.run(pixels[rows])
    raw = softmax(found.logits.reshape(-1, found.logits.shape[2])).reshape(found.logits.shape)
    return TextAnswers(rows, found.probabilities, found.sureness, raw.max(axis=2).prod(axis=1))


def write_attention(
    run: Path, model: onnx.ModelProto, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64]
) -> None:
    """Draw where the network looked for each letter of a few images, if it has an ATT that says so."""
    if ATTENTION not in {name for node in model.graph.node for name in node.output}:
        return
    chosen = rows[:_DRAWN]
    looks = open_graph(model, ATTENTION).run([ATTENTION], {"images": np.ascontiguousarray(pixels[chosen])})[0]
    shape = _maps_of(model, looks.shape[2])
    names = dataset.names
    drawn = attention_grid(pixels[chosen], looks.reshape(*looks.shape[:2], *shape), [names[row] for row in chosen])
    (run / runfolder.PLOTS).mkdir(exist_ok=True)
    write_bytes(run / runfolder.PLOTS / runfolder.HEATMAPS, png(drawn))


def _maps_of(model: onnx.ModelProto, places: int) -> tuple[int, int]:
    """Return the height and width of the maps that are looked at: those of the bias of each place, (characters, height, width)."""
    shapes = [tuple(one.dims) for one in model.graph.initializer if len(one.dims) == 3]
    return next((height, width) for _, height, width in shapes if height * width == places)
