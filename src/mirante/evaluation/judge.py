"""Judge a model on labelled images: predictions.csv, metrics.json, plots and report, into one folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.errors import RunError
from mirante.evaluation import metrics as figures
from mirante.evaluation.plots.confusion import confusion
from mirante.evaluation.plots.curves import Point, curves
from mirante.evaluation.plots.grids import answer_grid, sample_grid
from mirante.evaluation.plots.probabilities import dispersion, reliability_diagram
from mirante.evaluation.plots.style import png, write_png
from mirante.files import write_json, write_text
from mirante.images import Pixels
from mirante.locale import Language
from mirante.prediction.classifier import Classifier


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


def judge(
    classifier: Classifier,
    dataset: Dataset,
    pixels: Pixels,
    rows: NDArray[np.int64],
    folder: Path,
    history: Sequence[Point],
    watched: str,
    say: Language,
) -> Judgement:
    """Answer the images of `rows`, measure, draw, and write all but the report.

    pixels    uint8 (N, H, W, C), the rows of the data set
    history   the epochs of the training, drawn as curves when there are any
    watched   whose loss and accuracy stand in the history, `val` or `test`
    """
    if dataset.classes != classifier.classes:
        raise RunError(
            f"{dataset.word}: its classes are {_some(dataset.classes)}, the model's are {_some(classifier.classes)}; "
            "evaluate on data with the same classes, or choose them with --classes."
        )
    images, labels = pixels[rows], dataset.labels[rows]
    probabilities, _ = classifier.run(images)
    paths = [dataset.paths[row] for row in rows]
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    write_predictions(folder / runfolder.PREDICTIONS, paths, labels, probabilities, dataset.classes)
    measured = {"format": runfolder.FORMAT, **figures.measure(probabilities, labels, dataset.classes, groups)}
    write_json(folder / runfolder.METRICS, measured)

    (folder / runfolder.PLOTS).mkdir(exist_ok=True)
    plots = tuple(
        Plot(name, png(draw()), alt)
        for name, draw, alt in _drawings(dataset, pixels, images, labels, probabilities, measured, history, watched, say)
    )
    for plot in plots:
        write_png(plot.content, folder / runfolder.PLOTS / f"{plot.name}.png")
    return Judgement(measured, plots)


def write_predictions(
    path: Path, paths: Sequence[str], labels: NDArray[np.int64], probabilities: NDArray[np.floating], classes: Sequence[str]
) -> None:
    """Write path, label, predicted, confidence and one column a class, for every image."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "predicted", "confidence", *classes])
    for name, label, shares in zip(paths, labels, probabilities, strict=True):
        best = int(shares.argmax())
        # nine digits are a float32 whole, so that every figure can be computed again from this file
        numbers = [f"{float(share):.9g}" for share in (shares[best], *shares)]
        writer.writerow([name, classes[label], classes[best], *numbers])
    write_text(path, text.getvalue())


def _drawings(
    dataset: Dataset,
    pixels: Pixels,
    images: Pixels,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    measured: dict[str, Any],
    history: Sequence[Point],
    watched: str,
    say: Language,
) -> list[tuple[str, Callable[[], Figure], str]]:
    """Name every plot, how it is drawn, and the words for those who cannot see it."""
    classes = dataset.classes
    random = np.random.default_rng(0)
    right = probabilities.argmax(axis=1) == labels
    some = random.permutation(len(labels))[:15]
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:15]
    accuracy = say.percent(measured["accuracy"]["value"])
    drawings: list[tuple[str, Callable[[], Figure], str]] = []

    train = dataset.rows("train") if len(dataset.rows("train")) else np.arange(len(dataset))
    sample = np.sort(random.permutation(train)[:16])
    if history:
        drawings.append(
            (
                "samples",
                lambda: sample_grid(pixels[sample], dataset.labels[sample], classes, say),
                say("Grid of training images, each under the name of its class."),
            )
        )
        drawings.append(
            (
                "curves",
                lambda: curves(history, watched, say),
                say(
                    "Two panels by epoch: training accuracy ends at {accuracy}, training loss at {loss}.",
                    accuracy=say.percent(history[-1].train_accuracy),
                    loss=say.number(history[-1].train_loss, 2),
                ),
            )
        )
    drawings.append(
        (
            "predictions",
            lambda: answer_grid(
                images[some], labels[some], probabilities[some], classes, say("Answers to images never seen before"), say
            ),
            say(
                "{right} of {count} images drawn at random are answered rightly; bars show each probability.",
                right=int(right[some].sum()),
                count=len(some),
            ),
        )
    )
    matrix = np.array(measured["confusion"])
    drawings.append(
        (
            "confusion",
            lambda: confusion(matrix, classes, say),
            say("Confusion matrix of {count} classes; {accuracy} of the images lie on the diagonal.", count=len(classes), accuracy=accuracy),
        )
    )
    if len(surest):
        drawings.append(
            (
                "mistakes",
                lambda: answer_grid(
                    images[surest], labels[surest], probabilities[surest], classes, say("The most confident mistakes"), say
                ),
                say("The {count} wrong answers with the highest probability, with their bars.", count=len(surest)),
            )
        )
    drawings.append(
        (
            "reliability",
            lambda: reliability_diagram(measured["reliability"], measured["ece"]["value"], say),
            say("Share of right answers against confidence; the calibration error is {ece}.", ece=say.percent(measured["ece"]["value"])),
        )
    )
    spread = measured["dispersion"]
    drawings.append(
        (
            "dispersion",
            lambda: dispersion(figures.entropies(probabilities), right, say),
            say(
                "Dispersion of the probabilities: {right} on average for right answers, {wrong} for wrong ones.",
                right=say.number(spread["right"]["value"], 2),
                wrong=say.number(spread["wrong"]["value"], 2),
            ),
        )
    )
    return drawings


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
