"""Judge a model on labelled images: predictions.csv, metrics.json, plots and report, into one folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.errors import RunError
from mirante.evaluation import metrics as figures
from mirante.evaluation.plots.confusion import confusion
from mirante.evaluation.plots.curves import Point, curves
from mirante.evaluation.plots.grids import answer_grid, sample_grid
from mirante.evaluation.plots.probabilities import dispersion, reliability_diagram
from mirante.evaluation.plots.style import png
from mirante.files import write_bytes, write_json, write_text
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

    plots = [
        *(_training_plots(dataset, pixels, history, watched, say) if history else []),
        *_answer_plots(dataset.classes, images, labels, probabilities, measured, say),
    ]
    (folder / runfolder.PLOTS).mkdir(exist_ok=True)
    for plot in plots:
        write_bytes(folder / runfolder.PLOTS / f"{plot.name}.png", plot.content)
    return Judgement(measured, tuple(plots))


def write_predictions(
    path: Path,
    paths: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
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


def _training_plots(
    dataset: Dataset, pixels: Pixels, history: Sequence[Point], watched: str, say: Language
) -> Iterator[Plot]:
    """Draw what was trained on, and how it went."""
    sample = np.sort(np.random.default_rng(0).permutation(dataset.rows("train"))[:16])
    figure = sample_grid(pixels[sample], dataset.labels[sample], dataset.classes, say)
    yield Plot("samples", png(figure), say("Grid of training images, each under the name of its class."))
    ending = {"accuracy": say.percent(history[-1].train_accuracy), "loss": say.number(history[-1].train_loss, 2)}
    alt = say("Two panels by epoch: training accuracy ends at {accuracy}, training loss at {loss}.", **ending)
    yield Plot("curves", png(curves(history, watched, say)), alt)


def _answer_plots(
    classes: Sequence[str],
    images: Pixels,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    measured: dict[str, Any],
    say: Language,
) -> Iterator[Plot]:
    """Draw what the model answered, each plot with the words for those who cannot see it."""
    right = probabilities.argmax(axis=1) == labels

    def grid(rows: NDArray[np.intp], title: str) -> bytes:
        return png(answer_grid(images[rows], labels[rows], probabilities[rows], classes, title, say))

    some = np.random.default_rng(0).permutation(len(labels))[:15]
    alt = say(
        "{right} of {count} images drawn at random are answered rightly; bars show each probability.",
        right=int(right[some].sum()),
        count=len(some),
    )
    yield Plot("predictions", grid(some, say("Answers to images never seen before")), alt)

    text = "Confusion matrix of {count} classes; {accuracy} of the images lie on the diagonal."
    alt = say(text, count=len(classes), accuracy=say.percent(float(right.mean())))
    yield Plot("confusion", png(confusion(np.array(measured["confusion"]), classes, say)), alt)

    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:15]
    if len(surest):
        alt = say("The {count} wrong answers with the highest probability, with their bars.", count=len(surest))
        yield Plot("mistakes", grid(surest, say("The most confident mistakes")), alt)

    ece = measured["ece"]["value"]
    text = "Share of right answers against confidence; the calibration error is {ece}."
    yield Plot(
        "reliability", png(reliability_diagram(measured["reliability"], ece, say)), say(text, ece=say.percent(ece))
    )

    spread = {name: say.number(measured["dispersion"][name]["value"], 2) for name in ("right", "wrong")}
    alt = say(
        "Dispersion of the probabilities: {right} on average for right answers, {wrong} for wrong ones.", **spread
    )
    yield Plot("dispersion", png(dispersion(figures.entropies(probabilities), right, say)), alt)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
