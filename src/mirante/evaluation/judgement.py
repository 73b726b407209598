"""What judging a model takes, and what comes of it, whichever its task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Objectives
from mirante.evaluation.plots.curves import Point, curves
from mirante.evaluation.plots.style import png
from mirante.files import write_bytes, write_json
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.predictions import Predictions


@dataclass(frozen=True)
class Plot:
    """A plot as PNG bytes, with the text that stands for it."""

    name: str
    content: bytes
    alt: str


@dataclass(frozen=True)
class Judgement:
    """What came of it: the content of metrics.json, and the plots."""

    metrics: dict[str, Any]
    plots: tuple[Plot, ...]


@dataclass(frozen=True)
class Setting:
    """What predictions are judged with.

    pixels       uint8 (N, H, W, C), the rows of the data set
    again        the predictions of further trainings with other seeds
    history      the epochs of the training, drawn as curves when there are any
    watched      whose loss and accuracy stand in the history, `val` or `test`
    human_votes  a file of what people said of the images, or None
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


def write_judgement(
    folder: Path, predictions: Predictions, metrics: dict[str, Any], plots: Iterator[Plot], attention: str
) -> Judgement:
    """Write predictions.csv, metrics.json and the plots, with the kept ones of where the model looked; return what was written.

    attention  what stands for those plots for who cannot see them
    """
    predictions.write(folder / runfolder.PREDICTIONS)
    measured = {"format": runfolder.FORMAT, "task": predictions.task, **metrics}
    write_json(folder / runfolder.METRICS, measured)
    (folder / runfolder.PLOTS).mkdir(exist_ok=True)
    heatmaps = (
        folder / runfolder.PLOTS / runfolder.HEATMAPS
    )  # drawn by the network that answered, which may be gone by now
    kept = [Plot("heatmaps", heatmaps.read_bytes(), attention)] if heatmaps.exists() else []
    drawn = (*plots, *kept)
    for plot in drawn:
        write_bytes(folder / runfolder.PLOTS / f"{plot.name}.png", plot.content)
    return Judgement(measured, drawn)


def curves_plot(history: Sequence[Point], watched: str, say: Language) -> Plot:
    """Return the curves of a training with the words for those who cannot see them."""
    ending = {"accuracy": say.percent(history[-1].train_accuracy), "loss": say.number(history[-1].train_loss, 2)}
    alt = say("Two panels by epoch: training accuracy ends at {accuracy}, training loss at {loss}.", **ending)
    return Plot("curves", png(curves(history, watched, say)), alt)
