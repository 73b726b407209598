"""What evaluating a model takes, and its result, whatever the task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Objectives
from mirante.evaluation.plots.curves import Point, curves
from mirante.evaluation.plots.drawing import Plot, Sketch
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.predictions import Predictions


@dataclass(frozen=True)
class Judgement:
    """The result: the figures of metrics.json, and the plots."""

    metrics: dict[str, Any]
    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Setting:
    """What predictions are evaluated with.

    pixels       uint8 (N, H, W, C), the rows of the data set
    again        the predictions of further trainings with other seeds
    history      the epochs of the training, drawn as curves when there are any
    watched      whose loss and accuracy are in the history, `val` or `test`
    human_votes  a file of people's votes on the images, or None
    heatmaps     PNG of where the network looked, drawn while it existed (Task.draw_attention), or None
    """

    info: ModelInfo
    dataset: Dataset
    pixels: Pixels
    objectives: Objectives
    say: Language
    again: Sequence[Predictions] = ()
    history: Sequence[Point] = ()
    watched: str = "val"
    human_votes: Path | None = None
    heatmaps: bytes | None = None

    @property
    def trained(self) -> NDArray[np.int64]:
        """The rows of the images that the model was trained on; with folds, all of them were."""
        return np.flatnonzero(self.dataset.splits != "test") if self.dataset.folds else self.dataset.rows("train")

    def heatmaps_plot(self, alt: str) -> Iterator[Plot]:
        """Yield the plot of where the network looked, if there is one."""
        if self.heatmaps is not None:
            yield Plot("heatmaps", self.heatmaps, alt)


def curves_plot(history: Sequence[Point], watched: str, say: Language) -> Iterator[Sketch]:
    """Yield the curves of a training, with their alternative text; one epoch is a point, and no curve."""
    if len(history) < 2:
        return
    ending = {"accuracy": say.percent(history[-1].train_accuracy), "loss": say.number(history[-1].train_loss, 2)}
    alt = say("Two panels by epoch: training accuracy ends at {accuracy}, training loss at {loss}.", **ending)
    yield Sketch("curves", partial(curves, history, watched, say), alt)
