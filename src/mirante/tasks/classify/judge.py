"""Evaluate a classifier on labelled images: figures with their intervals, and plots of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.evaluation import metrics as figures
from mirante.evaluation.judgement import Judgement, Setting, curves_plot
from mirante.evaluation.plots.confusion import confusion
from mirante.evaluation.plots.drawing import Plot, Sketch, draw
from mirante.evaluation.plots.grids import answer_grid, class_samples
from mirante.evaluation.plots.probabilities import dispersion, reliability_diagram
from mirante.evaluation.plots.thresholds import decision_curve, trade_off
from mirante.evaluation.roc import Discrimination, decisions, discriminate
from mirante.images import Pixels
from mirante.locale import Language
from mirante.predictions import Predictions
from mirante.tasks.classify.contrasts import Contrasting, Contrasts, one_against_rest
from mirante.tasks.classify.decision import learned_of
from mirante.tasks.classify.human_votes import compare_with_humans, read_human_votes
from mirante.tasks.classify.subgroups import figures_by_subgroup


def judge(predictions: Predictions, setting: Setting) -> Judgement:
    """Measure labelled predictions, and draw."""
    metrics, told = measure(predictions, setting, one_against_rest)
    return Judgement(metrics, draw(plots(predictions, setting, one_against_rest, metrics, told), predictions.classes))


def plots(
    predictions: Predictions,
    setting: Setting,
    contrasting: Contrasting,
    metrics: dict[str, Any],
    told: dict[str, Discrimination],
    own: Iterable[Sketch | Plot] = (),
) -> Iterator[Sketch | Plot]:
    """Yield the plots of a classifier; `own` are those that a task adds."""
    say = setting.say
    if setting.history:
        yield from _training_plots(setting)
    yield from _answer_plots(predictions, setting.pixels[predictions.rows], metrics, say)
    yield from own
    yield from _threshold_plots(told, contrasting(predictions, setting), metrics.get("decision"), say)
    yield from setting.heatmaps_plot(
        say("Images and where the model looked in them: right answers above, wrong ones below.")
    )


def measure(
    predictions: Predictions, setting: Setting, contrasting: Contrasting
) -> tuple[dict[str, Any], dict[str, Discrimination]]:
    """Return what metrics.json holds, and the name of each contrast → how well the two sides are distinguished."""
    targets, classes, probabilities = predictions.targets, predictions.classes, predictions.probabilities
    groups, learned = predictions.groups, learned_of(setting.info)
    contrasts = contrasting(predictions, setting)
    positive = contrasts.by_name.get(contrasts.positive or "")
    voted = None if setting.human_votes is None else read_human_votes(setting.human_votes, predictions.paths, classes)
    measured = figures.measure(probabilities, targets, classes, groups)
    if predictions.uncalibrated is not None:
        raw = predictions.uncalibrated
        right = raw.argmax(axis=1) == targets
        measured["uncalibrated"] = {
            "ece": figures.calibration_error(raw.max(axis=1), right),
            "log_loss": float(figures.log_losses(raw, targets).mean()),
            "reliability": figures.reliability(raw.max(axis=1), right),
        }
    measured["prediction_sets"] = {
        f"{coverage:g}": figures.set_figures(found, targets, classes, groups)
        for coverage, found in predictions.prediction_sets.items()
    }
    if predictions.out_of_distribution is not None:
        count = int(predictions.out_of_distribution.sum())
        measured["taken_for_none_of_these"] = figures.wilson(count, len(predictions)).to_dict()
    if setting.again:
        measured["repeats"] = _spread_of([predictions, *setting.again], setting, contrasting)
    if predictions.folds is not None:
        measured["folds"] = _by_fold(predictions.folds, predictions.right)
    told = {
        name: found
        for name, one in contrasts.by_name.items()
        if (found := discriminate(one.scores, one.wanted, groups)) is not None
    }
    measured["positive"] = contrasts.positive
    measured["one_vs_rest"] = {name: found.figures for name, found in told.items()}
    decided = predictions.given
    if learned.class_weights:
        measured["evened_out"] = figures.answer_figures(decided, targets, classes, groups)
    if positive is not None and contrasts.threshold is not None:
        came = decisions(positive.answered, positive.wanted, setting.objectives.prevalence)
        measured["decision"] = {
            "positive": contrasts.positive,
            "threshold": contrasts.threshold,
            "accuracy": figures.share_right(decided == targets, groups),
            **came,
        }
    if voted is not None:
        measured["human_votes"] = compare_with_humans(probabilities, targets, voted)
    if predictions.subgroups is not None:
        measured["subgroups"] = figures_by_subgroup(predictions.subgroups, predictions.right, positive, groups)
    return measured, told


def _spread_of(
    trainings: Sequence[Predictions], setting: Setting, contrasting: Contrasting
) -> dict[str, dict[str, Any]]:
    """Return figure → its values in each training, their mean and standard deviation."""
    values: dict[str, list[float]] = {"accuracy": [], "log_loss": [], "ece": []}
    for one in trainings:
        labels, right = one.targets, one.right
        values["accuracy"].append(float(right.mean()))
        values["log_loss"].append(float(figures.log_losses(one.probabilities, labels).mean()))
        values["ece"].append(figures.calibration_error(one.probabilities.max(axis=1), right))
        contrasts = contrasting(one, setting)
        if (positive := contrasts.by_name.get(contrasts.positive or "")) is not None:
            values.setdefault("roc_area", []).append(auroc(positive.scores, positive.wanted))
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


def _training_plots(setting: Setting) -> Iterator[Sketch | Plot]:
    """Draw some training images, and the training's progress."""
    dataset, pixels, say = setting.dataset, setting.pixels, setting.say
    sample = np.sort(np.random.default_rng(0).permutation(setting.trained)[:16])
    names = [dataset.classes[number] for number in dataset.targets[sample]]
    figure = partial(class_samples, pixels[sample], names, say)
    yield Sketch("samples", figure, say("Grid of training images, each under the name of its class."))
    yield from curves_plot(setting.history, setting.watched, say)


def _answer_plots(
    predictions: Predictions, images: Pixels, measured: dict[str, Any], say: Language
) -> Iterator[Sketch | Plot]:
    """Draw what the model answered, each plot with its alternative text."""
    classes, labels, probabilities = predictions.classes, predictions.targets, predictions.probabilities
    right = predictions.right

    def grid(rows: NDArray[np.intp], title: str) -> Callable[[], Figure]:
        return partial(answer_grid, images[rows], labels[rows], probabilities[rows], classes, title, say)

    some = np.random.default_rng(0).permutation(len(labels))[:15]
    alt = say(
        "{right} of {count} images drawn at random are answered correctly; bars show each probability.",
        right=int(right[some].sum()),
        count=len(some),
    )
    yield Sketch("predictions", grid(some, say("Answers to images never seen before")), alt)

    text = "Confusion matrix of {count} classes; {accuracy} of the images lie on the diagonal."
    alt = say(text, count=len(classes), accuracy=say.percent(float(right.mean())))
    yield Sketch("confusion", partial(confusion, np.array(measured["confusion"]), classes, say), alt)

    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:15]
    if len(surest):
        alt = say("The {count} wrong answers with the highest probability, with their bars.", count=len(surest))
        yield Sketch("mistakes", grid(surest, say("The most confident mistakes")), alt)

    ece = measured["ece"]["value"]
    before = measured.get("uncalibrated", {}).get("reliability")
    alt = say("Share of right answers against confidence; the calibration error is {ece}.", ece=say.percent(ece))
    yield Sketch("reliability", partial(reliability_diagram, measured["reliability"], ece, before, say), alt)

    if right.all() or not right.any():
        return  # there is nothing to compare
    spread = {name: say.number(measured["dispersion"][name]["value"], 2) for name in ("right", "wrong")}
    alt = say(
        "Dispersion of the probabilities: {right} on average for right answers, {wrong} for wrong ones.", **spread
    )
    yield Sketch("dispersion", partial(dispersion, figures.entropies(probabilities), right, say), alt)


def _threshold_plots(
    told: dict[str, Discrimination],
    contrasts: Contrasts,
    decision: dict[str, Any] | None,
    say: Language,
) -> Iterator[Sketch | Plot]:
    """Draw how well the sides are distinguished: those of the positive contrast if there is one, else all."""
    positive = contrasts.positive
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
    yield Sketch("thresholds", partial(trade_off, shown, chosen, say), alt)
    if positive in told:
        one = contrasts.by_name[positive]
        threshold = None if decision is None else decision["threshold"]
        figure = partial(decision_curve, one.scores, one.wanted, threshold, say)
        alt = say("Net benefit by threshold: of deciding by the model, of alarms for all images, and of none.")
        yield Sketch("benefit", figure, alt)
