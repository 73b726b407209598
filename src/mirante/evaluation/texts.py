"""Judge a model that reads texts: whole texts, letters, how sure it may be; predictions.csv, metrics.json and plots into one folder.

Letters are compared place by place: where the model leaves one out, those after it count as wrong too.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.texts import decode
from mirante.evaluation import metrics as figures
from mirante.evaluation.judge import Judgement, Plot, curves_plot, kept_heatmaps
from mirante.evaluation.plots.curves import Point
from mirante.evaluation.plots.probabilities import reliability_diagram
from mirante.evaluation.plots.style import png
from mirante.evaluation.plots.texts import confused_letters, reading_grid, text_samples
from mirante.files import write_bytes, write_json, write_text
from mirante.images import Pixels
from mirante.locale import Language
from mirante.runfolder import ModelInfo

_MOST_PAIRS, _FEW_PAIRS = 20, 5


@dataclass(frozen=True)
class TextAnswers:
    """What was read in N images of a data set.

    rows           (N,) of the data set
    probabilities  (N, characters, classes)
    sureness       (N,) the probability that the whole text is right
    raw            (N,) the same before calibration: the product of the letters' uncalibrated probabilities
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    sureness: NDArray[np.float32]
    raw: NDArray[np.float32]


def judge_texts(
    answers: TextAnswers,
    info: ModelInfo,
    dataset: Dataset,
    pixels: Pixels,
    folder: Path,
    history: Sequence[Point],
    watched: str,
    say: Language,
) -> Judgement:
    """Measure the answers, draw, and write all but the report; arguments as in mirante.evaluation.judge."""
    rows, labels = answers.rows, dataset.labels[answers.rows]
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    paths = [dataset.paths[row] for row in rows]
    _write_predictions(folder / runfolder.PREDICTIONS, paths, labels, answers, info)
    measured = {"format": runfolder.FORMAT, **measure_texts(answers, labels, info, groups)}
    write_json(folder / runfolder.METRICS, measured)
    plots = [
        *(_training_plots(dataset, pixels, history, watched, say) if history else []),
        *_answer_plots(answers, pixels[rows], labels, info, measured, say),
    ]
    (folder / runfolder.PLOTS).mkdir(exist_ok=True)
    plots += kept_heatmaps(folder, say("Where the model looked for each letter of a few images."))
    for plot in plots:
        write_bytes(folder / runfolder.PLOTS / f"{plot.name}.png", plot.content)
    return Judgement(measured, tuple(plots))


def measure_texts(
    answers: TextAnswers, labels: NDArray[np.int64], info: ModelInfo, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return everything that metrics.json holds about texts; labels (N, characters)."""
    count, letters = len(labels), len(info.classes)
    read = answers.probabilities.argmax(axis=2)
    right = (read == labels).all(axis=1)
    none = letters - 1
    lengths = (labels != none).sum(axis=1)
    there = labels != none
    matrix = figures.confusion_matrix(labels.ravel(), read.ravel(), letters)
    sure = answers.sureness >= (0.0 if info.confidence_threshold is None else info.confidence_threshold)

    def accuracy(chosen: NDArray[np.int64]) -> float:
        return float(right[chosen].mean())

    return {
        "task": "code",
        "images": count,
        "classes": list(info.classes),
        "accuracy": figures.wilson(int(right.sum()), count).to_dict()
        if groups is None
        else figures.bootstrap(accuracy, count, groups),
        "letters": {
            "count": int(there.sum()),
            "accuracy": figures.wilson(int((read == labels)[there].sum()), int(there.sum())).to_dict(),
            "ece": figures.calibration_error(answers.probabilities.max(axis=2).ravel(), (read == labels).ravel()),
        },
        "ece": figures.bootstrap(
            lambda chosen: figures.calibration_error(answers.sureness[chosen], right[chosen]), count, groups
        ),
        "uncalibrated": {
            "ece": figures.calibration_error(answers.raw, right),
            "reliability": figures.reliability(answers.raw, right),
        },
        "reliability": figures.reliability(answers.sureness, right),
        "selective_accuracy": figures.selective_accuracy(answers.sureness, right),
        "sure": {
            "from": info.confidence_threshold,
            "share": figures.wilson(int(sure.sum()), count).to_dict(),
            "accuracy": figures.wilson(int(right[sure].sum()), int(sure.sum())).to_dict(),
        },
        "lengths": {
            str(length): {
                "images": int((lengths == length).sum()),
                **figures.wilson(int(right[lengths == length].sum()), int((lengths == length).sum())).to_dict(),
            }
            for length in np.unique(lengths)
        },
        "per_class": figures.answer_figures(read.ravel(), labels.ravel(), info.classes)["per_class"],
        "confusion": matrix.tolist(),
        "confused": _confused(matrix, info.classes),
        "intervals": "95%; Wilson for shares, otherwise percentile bootstrap over "
        f"{'images' if groups is None else 'groups'}",
    }


def _confused(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of letters most often taken for one another: letter, read as, how often, of how many.

    What happened once is no pattern: such pairs stand there only where no other does, and few.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: _MOST_PAIRS if wrong.max() > 1 else _FEW_PAIRS]
    pairs = [divmod(int(one), len(classes)) for one in order]
    return [
        {
            "letter": classes[row],
            "read": classes[column],
            "count": int(wrong[row, column]),
            "of": int(matrix[row].sum()),
        }
        for row, column in pairs
        if wrong[row, column] >= min(2, wrong.max()) > 0
    ]


def _write_predictions(
    path: Path, paths: Sequence[str], labels: NDArray[np.int64], answers: TextAnswers, info: ModelInfo
) -> None:
    """Write path, label, predicted, confidence, unsure (0 or 1), and the characters with their probabilities as a JSON list."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "predicted", "confidence", "unsure", "letters"])
    read = answers.probabilities.argmax(axis=2)
    wanted, found = decode(labels, info.classes), decode(read, info.classes)
    for row, name in enumerate(paths):
        sure = float(answers.sureness[row])
        shares = answers.probabilities[row].max(axis=1).tolist()
        letters = [[info.classes[one], float(f"{share:.9g}")] for one, share in zip(read[row], shares, strict=True)]
        unsure = int(info.confidence_threshold is not None and sure < info.confidence_threshold)
        line = [name, wanted[row], found[row], f"{sure:.9g}", unsure, json.dumps(letters, ensure_ascii=False)]
        writer.writerow(line)
    write_text(path, text.getvalue())


def _training_plots(
    dataset: Dataset, pixels: Pixels, history: Sequence[Point], watched: str, say: Language
) -> Iterator[Plot]:
    sample = np.sort(np.random.default_rng(0).permutation(dataset.rows("train"))[:12])
    names = dataset.names
    figure = text_samples(pixels[sample], [names[row] for row in sample], say)
    yield Plot("samples", png(figure), say("Grid of training images, each under its text."))
    yield curves_plot(history, watched, say)


def _answer_plots(
    answers: TextAnswers,
    images: Pixels,
    labels: NDArray[np.int64],
    info: ModelInfo,
    measured: dict[str, Any],
    say: Language,
) -> Iterator[Plot]:
    right = (answers.probabilities.argmax(axis=2) == labels).all(axis=1)

    def grid(rows: NDArray[np.intp], title: str) -> bytes:
        shown = images[rows], labels[rows], answers.probabilities[rows], answers.sureness[rows]
        return png(reading_grid(*shown, info.classes, title, say))

    some = np.random.default_rng(0).permutation(len(labels))[:9]
    alt = say(
        "{right} of {count} images drawn at random are read rightly; bars show the probability of each letter.",
        right=int(right[some].sum()),
        count=len(some),
    )
    yield Plot("predictions", grid(some, say("Readings of images never seen before")), alt)
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-answers.sureness[wrong], kind="stable")][:18]
    if len(surest):
        alt = say("The {count} wrong readings with the highest probability, letter by letter.", count=len(surest))
        yield Plot("mistakes", grid(surest, say("The most confident mistakes")), alt)
    if measured["confused"]:
        worst = measured["confused"][0]
        alt = say(
            "The letters most often confused; first {letter}, read as {read} {count} times.",
            letter=worst["letter"] or "–",
            read=worst["read"] or "–",
            count=worst["count"],
        )
        yield Plot("confusion", png(confused_letters(measured["confused"], say)), alt)
    ece, before = measured["ece"]["value"], measured["uncalibrated"]["reliability"]
    alt = say("Share of right answers against confidence; the calibration error is {ece}.", ece=say.percent(ece))
    yield Plot("reliability", png(reliability_diagram(measured["reliability"], ece, before, say)), alt)
