"""Judge a model on labelled images: predictions.csv, metrics.json, plots and report, into one folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.auroc import auroc
from mirante.data.dataset import Dataset
from mirante.errors import RunError
from mirante.evaluation import metrics as figures
from mirante.evaluation.human_votes import compare_with_humans, read_human_votes
from mirante.evaluation.plots.confusion import confusion
from mirante.evaluation.plots.curves import Point, curves
from mirante.evaluation.plots.grids import answer_grid, sample_grid
from mirante.evaluation.plots.probabilities import dispersion, reliability_diagram
from mirante.evaluation.plots.style import png
from mirante.evaluation.plots.thresholds import decision_curve, trade_off
from mirante.evaluation.roc import Discrimination, decisions, discriminate
from mirante.evaluation.subgroups import figures_by_subgroup
from mirante.files import write_bytes, write_json, write_text
from mirante.images import Pixels
from mirante.locale import Language
from mirante.runfolder import ModelInfo


@dataclass(frozen=True)
class Plot:
    """A plot as PNG bytes, with the text that stands for it."""

    name: str
    content: bytes
    alt: str


@dataclass(frozen=True)
class Answers:
    """What was answered for N images of a data set.

    rows           (N,) of the data set
    probabilities  (N, classes)
    decided        (N,) class numbers: the answer, which a threshold may have moved from the most probable class
    raw            (N, classes) probabilities before calibration, or None where they are not known
    strange        (N,) whether an image was taken for none of the classes, or None where that is not known
    folds          (N,) number of the fold that each image was answered in, or None
    sets           coverage promised → which classes (N, classes) are plausible
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    decided: NDArray[np.int64]
    raw: NDArray[np.float32] | None = None
    strange: NDArray[np.bool_] | None = None
    folds: NDArray[np.int64] | None = None
    sets: Mapping[float, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Judgement:
    """What came of it: the content of metrics.json, and the plots."""

    metrics: dict[str, Any]
    plots: tuple[Plot, ...]


def judge(
    answers: Answers,
    again: Sequence[Answers],
    info: ModelInfo,
    dataset: Dataset,
    pixels: Pixels,
    folder: Path,
    history: Sequence[Point],
    watched: str,
    positive: str | None,
    prevalence: float | None,
    votes: Path | None,
    say: Language,
) -> Judgement:
    """Measure the answers, draw, and write all but the report.

    again       those of further trainings with other seeds
    pixels      uint8 (N, H, W, C), the rows of the data set
    history     the epochs of the training, drawn as curves when there are any
    watched     whose loss and accuracy stand in the history, `val` or `test`
    positive    the class that is held against the others
    prevalence  its share where the model will be used
    votes       what people said of the images (mirante.evaluation.human_votes)
    """
    rows, labels, classes = answers.rows, dataset.labels[answers.rows], dataset.classes
    images, probabilities = pixels[rows], answers.probabilities
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    parts = None if dataset.subgroups is None else [dataset.subgroups[row] for row in rows]
    paths = [dataset.paths[row] for row in rows]
    voted = None if votes is None else read_human_votes(votes, paths, classes)
    write_predictions(folder / runfolder.PREDICTIONS, paths, labels, answers, info, groups, parts)
    measured = {"format": runfolder.FORMAT, **figures.measure(probabilities, labels, classes, groups)}
    if answers.raw is not None:
        right = answers.raw.argmax(axis=1) == labels
        measured["uncalibrated"] = {
            "ece": figures.calibration_error(answers.raw.max(axis=1), right),
            "log_loss": float(figures.log_losses(answers.raw, labels).mean()),
            "reliability": figures.reliability(answers.raw.max(axis=1), right),
        }
    measured["prediction_sets"] = {
        f"{promised:g}": figures.set_figures(found, labels, groups) for promised, found in answers.sets.items()
    }
    if answers.strange is not None:
        measured["taken_for_none_of_these"] = figures.wilson(int(answers.strange.sum()), len(rows)).to_dict()
    if again:
        measured["repeats"] = _spread_of(
            [answers, *again], dataset, None if positive is None else classes.index(positive)
        )
    if answers.folds is not None:
        measured["folds"] = _by_fold(answers.folds, probabilities.argmax(axis=1) == labels)
    told = {
        name: found
        for number, name in enumerate(classes)
        if (len(classes) > 2 or name == positive)
        and (found := discriminate(probabilities[:, number], labels == number, groups)) is not None
    }
    measured["positive"] = positive
    measured["one_vs_rest"] = {name: found.figures for name, found in told.items()}
    if info.class_weights:
        measured["evened_out"] = figures.answer_figures(answers.decided, labels, classes, groups)
    if info.positive_number is not None:
        came = decisions(answers.decided == info.positive_number, labels == info.positive_number, prevalence)
        measured["decision"] = {"positive": info.positive, "threshold": info.threshold, **came}
    if voted is not None:
        measured["people"] = compare_with_humans(probabilities, labels, voted)
    if parts is not None:
        number = None if positive is None else classes.index(positive)
        measured["parts"] = figures_by_subgroup(parts, probabilities, labels, answers.decided, number, groups)
    write_json(folder / runfolder.METRICS, measured)

    plots = [
        *(_training_plots(dataset, pixels, history, watched, say) if history else []),
        *_answer_plots(classes, images, labels, probabilities, measured, say),
        *_threshold_plots(told, probabilities, labels, classes, positive, measured.get("decision"), say),
    ]
    (folder / runfolder.PLOTS).mkdir(exist_ok=True)
    plots += kept_heatmaps(
        folder, say("Images and where the model looked in them: right answers above, wrong ones below.")
    )
    for plot in plots:
        write_bytes(folder / runfolder.PLOTS / f"{plot.name}.png", plot.content)
    return Judgement(measured, tuple(plots))


def curves_plot(history: Sequence[Point], watched: str, say: Language) -> Plot:
    """Return the curves of a training with the words for those who cannot see them."""
    ending = {"accuracy": say.percent(history[-1].train_accuracy), "loss": say.number(history[-1].train_loss, 2)}
    alt = say("Two panels by epoch: training accuracy ends at {accuracy}, training loss at {loss}.", **ending)
    return Plot("curves", png(curves(history, watched, say)), alt)


def kept_heatmaps(folder: Path, alt: str) -> list[Plot]:
    """Return where the model looked, if that was drawn: by the network that answered, which may be gone by now."""
    path = folder / runfolder.PLOTS / runfolder.HEATMAPS
    return [Plot("heatmaps", path.read_bytes(), alt)] if path.exists() else []


def require_classes(dataset: Dataset, info: ModelInfo) -> None:
    """Raise RunError unless the data set has the classes of the model."""
    if dataset.classes != info.classes:
        raise RunError(
            f"{dataset.location}: its classes are {_some(dataset.classes)}, the model's are {_some(info.classes)}; "
            "evaluate on data with the same classes, or choose them with --classes."
        )


def write_predictions(
    path: Path,
    paths: Sequence[str],
    labels: NDArray[np.int64],
    answers: Answers,
    info: ModelInfo,
    groups: Sequence[str] | None,
    parts: Sequence[str] | None,
) -> None:
    """Write path, label, predicted, confidence and one column a class, for every image.

    After them, where there are such: `decision`, what is answered at the threshold or with unequal classes evened out;
    `plausible95` and the like, the classes of the prediction set as a JSON list; `none_of_these`, 0 or 1; `part`; `group`;
    `fold`, counted from 1.
    """
    further: dict[str, Sequence[object]] = {}
    if info.decides:
        further["decision"] = [info.classes[number] for number in answers.decided]
    for promised, found in answers.sets.items():
        further[set_column(promised)] = [
            json.dumps([name for name, inside in zip(info.classes, row, strict=True) if inside], ensure_ascii=False)
            for row in found.tolist()
        ]
    if answers.strange is not None:
        further["none_of_these"] = answers.strange.astype(int).tolist()
    if parts is not None:
        further["part"] = parts
    if groups is not None:
        further["group"] = groups
    if answers.folds is not None:
        further["fold"] = (answers.folds + 1).tolist()
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "predicted", "confidence", *info.classes, *further])
    for name, label, shares, *others in zip(paths, labels, answers.probabilities, *further.values(), strict=True):
        best = int(shares.argmax())
        # nine digits are a float32 whole, so that every figure can be computed again from this file
        numbers = [f"{float(share):.9g}" for share in (shares[best], *shares)]
        writer.writerow([name, info.classes[label], info.classes[best], *numbers, *others])
    write_text(path, text.getvalue())


def set_column(promised: float) -> str:
    """Return the name of the column of predictions.csv that holds the prediction sets of a promised coverage."""
    return f"plausible{100 * promised:g}"


def _spread_of(trainings: Sequence[Answers], dataset: Dataset, positive: int | None) -> dict[str, dict[str, Any]]:
    """Return figure → its values in each training, their mean and standard deviation."""
    values: dict[str, list[float]] = {"accuracy": [], "log_loss": [], "ece": []}
    for one in trainings:
        labels = dataset.labels[one.rows]
        right = one.probabilities.argmax(axis=1) == labels
        values["accuracy"].append(float(right.mean()))
        values["log_loss"].append(float(figures.log_losses(one.probabilities, labels).mean()))
        values["ece"].append(figures.calibration_error(one.probabilities.max(axis=1), right))
        if positive is not None:
            area = auroc(one.probabilities[:, positive], labels == positive)
            values.setdefault("roc_area", []).append(area)
    return {
        name: {"values": found, "mean": float(np.mean(found)), "deviation": float(np.std(found, ddof=1))}
        for name, found in values.items()
    }


def _by_fold(folds: NDArray[np.int64], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    return [
        {
            "images": int((folds == fold).sum()),
            **figures.wilson(int(right[folds == fold].sum()), int((folds == fold).sum())).to_dict(),
        }
        for fold in np.unique(folds)
    ]


def _training_plots(
    dataset: Dataset, pixels: Pixels, history: Sequence[Point], watched: str, say: Language
) -> Iterator[Plot]:
    """Draw what was trained on, and how it went."""
    sample = np.sort(np.random.default_rng(0).permutation(dataset.rows("train"))[:16])
    figure = sample_grid(pixels[sample], dataset.labels[sample], dataset.classes, say)
    yield Plot("samples", png(figure), say("Grid of training images, each under the name of its class."))
    yield curves_plot(history, watched, say)


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
    before = measured.get("uncalibrated", {}).get("reliability")
    alt = say("Share of right answers against confidence; the calibration error is {ece}.", ece=say.percent(ece))
    yield Plot("reliability", png(reliability_diagram(measured["reliability"], ece, before, say)), alt)

    spread = {name: say.number(measured["dispersion"][name]["value"], 2) for name in ("right", "wrong")}
    alt = say(
        "Dispersion of the probabilities: {right} on average for right answers, {wrong} for wrong ones.", **spread
    )
    yield Plot("dispersion", png(dispersion(figures.entropies(probabilities), right, say)), alt)


def _threshold_plots(
    told: dict[str, Discrimination],
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    positive: str | None,
    decision: dict[str, Any] | None,
    say: Language,
) -> Iterator[Plot]:
    """Draw how classes are told from the others: the positive one where there is one, else all."""
    shown = {positive: told[positive]} if positive in told else told
    if not shown:
        return
    chosen = None
    if decision is not None:
        keys = ("specificity", "sensitivity", "positive_predictive_value")
        specificity, sensitivity, precision = (decision[key]["value"] for key in keys)
        chosen = 1 - specificity, sensitivity, precision
    areas = ", ".join(f"{name} {say.number(one.figures['roc_area']['value'], 3)}" for name, one in shown.items())
    alt = say("ROC curve and precision against recall; areas under the ROC curve: {areas}.", areas=areas)
    yield Plot("thresholds", png(trade_off(shown, chosen, say)), alt)
    if positive in told:
        number = classes.index(positive)
        threshold = None if decision is None else decision["threshold"]
        figure = decision_curve(probabilities[:, number], labels == number, threshold, say)
        alt = say("Net benefit by threshold: of deciding by the model, of an alarm for every image, and of none.")
        yield Plot("benefit", png(figure), alt)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
