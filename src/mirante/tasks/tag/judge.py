"""Evaluate a model of several labels: label by label, over all labels, and how far its sets keep what they promise.

A label is judged on the images of which it is known whether they have it. One that too few test images have is trained and answered,
but has no figures: with a handful of images they would say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.data.several import join
from mirante.evaluation import metrics as figures
from mirante.evaluation.judgement import Judgement, Setting, curves_plot
from mirante.evaluation.plots.drawing import Plot, Sketch, draw
from mirante.evaluation.plots.grids import sample_grid
from mirante.evaluation.plots.probabilities import reliability_diagram
from mirante.evaluation.plots.style import shorten
from mirante.evaluation.plots.thresholds import trade_off
from mirante.evaluation.roc import Discrimination, discriminate
from mirante.predictions import Predictions
from mirante.tasks.tag.calibrate import thresholds_of
from mirante.tasks.tag.plots import areas_plot, occurrence_plot, tag_grid
from mirante.tasks.tag.subgroups import figures_by_subgroup

LEAST = 20
"""Test images with a label, and without it, below which it is too rare to judge."""

_PAIRS = 15


def judge(predictions: Predictions, setting: Setting) -> Judgement:
    """Measure labelled predictions, and draw."""
    metrics, told = measure(predictions, setting)

    def plots() -> Iterator[Sketch | Plot]:
        if setting.history:
            yield from _training_plots(setting)
        yield from _answer_plots(predictions, setting, metrics, told)

    return Judgement(metrics, draw(plots(), predictions.classes))


def measure(predictions: Predictions, setting: Setting) -> tuple[dict[str, Any], dict[str, Discrimination]]:
    """Return what metrics.json holds, and label → how well images with it are distinguished from those without."""
    targets, shares, groups = predictions.targets, predictions.probabilities, predictions.groups
    classes, decided, count = predictions.classes, predictions.predicted, len(predictions)
    known, wanted = targets >= 0, targets > 0
    thresholds = thresholds_of(setting.info)
    told: dict[str, Discrimination] = {}
    labels: dict[str, Any] = {}
    for number, name in enumerate(classes):
        rows = np.flatnonzero(known[:, number])
        has = wanted[rows, number]
        units = None if groups is None else [groups[row] for row in rows.tolist()]
        rare = min(int(has.sum()), int((~has).sum())) < LEAST
        labels[name] = {
            "images": int(has.sum()),
            "others": int((~has).sum()),
            "not_known": count - len(rows),
            "rare": rare,
            "threshold": float(thresholds[number]),
        }
        if rare:
            continue
        found = discriminate(shares[rows, number], has, units)
        assert found is not None
        told[name] = found
        labels[name] |= _label_figures(found, shares[rows, number], has, decided[rows, number] > 0, units)
    judged = [number for number, name in enumerate(classes) if not labels[name]["rare"]]
    measured: dict[str, Any] = {
        "images": count,
        "classes": list(classes),
        "labels": labels,
        "too_rare": [name for name in classes if labels[name]["rare"]],
        "accuracy": figures.share_right(predictions.right, groups),
        **_over_labels(targets, shares, decided, judged, groups),
        "positive": None,
        "labels_per_image": float(wanted.sum(axis=1).mean()),
        "occurrence": _occurrence(wanted).tolist(),
        "confused": _together(wanted, decided, classes),
        "reliability": figures.reliability(shares[known], wanted[known]),
        "prediction_sets": {
            f"{coverage:g}": _set_figures(members, wanted, groups)
            for coverage, members in predictions.prediction_sets.items()
        },
        "intervals": "95%; exact for shares of a label's images, Wilson for shares of all images, otherwise percentile bootstrap over "
        f"{'images' if groups is None else 'groups'}",
    }
    if predictions.uncalibrated is not None:
        raw = predictions.uncalibrated
        measured["uncalibrated"] = {
            "ece": _mean_ece(raw, targets, judged),
            "reliability": figures.reliability(raw[known], wanted[known]),
        }
    if predictions.out_of_distribution is not None:
        strange = int(predictions.out_of_distribution.sum())
        measured["taken_for_none_of_these"] = figures.wilson(strange, count).to_dict()
    if setting.again:
        measured["repeats"] = _spread_of([predictions, *setting.again], judged)
    if predictions.folds is not None:
        measured["folds"] = [_fold_figures(predictions, fold) for fold in np.unique(predictions.folds)]
    if predictions.subgroups is not None:
        measured["subgroups"] = figures_by_subgroup(predictions.subgroups, shares, targets, classes, judged, groups)
    return measured, told


def _label_figures(
    found: Discrimination,
    scores: NDArray[np.floating],
    has: NDArray[np.bool_],
    said: NDArray[np.bool_],
    groups: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the figures of one label: scores (N,) its probabilities, has (N,) which images have it, said (N,) what was answered."""
    hits, named, true = int((said & has).sum()), int(said.sum()), int(has.sum())
    return {
        "roc_area": found.figures["roc_area"],
        "average_precision": found.figures["average_precision"],
        "sensitivity": figures.exact(hits, true).to_dict(),
        "specificity": figures.exact(int((~said & ~has).sum()), int((~has).sum())).to_dict(),
        "precision": figures.exact(hits, named).to_dict(),
        "f1": 2 * hits / (true + named),
        "ece": figures.bootstrap(
            lambda rows: figures.calibration_error(scores[rows], has[rows]), len(scores), groups, biased=True
        ),
    }


def _over_labels(
    targets: NDArray[np.int64],
    shares: NDArray[np.floating],
    decided: NDArray[np.int64],
    judged: Sequence[int],
    groups: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the figures over the judged labels; those of all labels together count every label."""
    known, wanted, said = targets >= 0, targets > 0, decided > 0

    def over(statistic: Callable[[NDArray[np.int64], int], float]) -> dict[str, float]:
        def mean(rows: NDArray[np.int64]) -> float:
            values = [statistic(rows[known[rows, number]], number) for number in judged]
            return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

        return figures.bootstrap(mean, len(targets), groups)

    def micro(rows: NDArray[np.int64]) -> float:
        counts = known[rows]
        return _f1(wanted[rows][counts], said[rows][counts])

    return {
        "mean_roc_area": over(lambda rows, number: auroc(shares[rows, number], wanted[rows, number])),
        "mean_average_precision": over(
            lambda rows, number: _average_precision(shares[rows, number], wanted[rows, number])
        ),
        "macro_f1": over(lambda rows, number: _f1(wanted[rows, number], said[rows, number])),
        "micro_f1": figures.bootstrap(micro, len(targets), groups),
        "ece": figures.bootstrap(
            lambda rows: _mean_ece(shares[rows], targets[rows], judged), len(targets), groups, biased=True
        ),
        "log_loss": figures.bootstrap(lambda rows: _log_loss(shares[rows], targets[rows]), len(targets), groups),
    }


def _f1(wanted: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    total = int(wanted.sum()) + int(said.sum())
    return 2 * int((wanted & said).sum()) / total if total else float("nan")


def _average_precision(scores: NDArray[np.floating], wanted: NDArray[np.bool_]) -> float:
    """Return the mean over the images with a label of the precision at its place; equal scores share the lowest."""
    if not wanted.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(wanted[order])
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return float((np.diff(hits[ends], prepend=0) * hits[ends] / (ends + 1)).sum() / hits[-1])


def _mean_ece(shares: NDArray[np.floating], targets: NDArray[np.int64], judged: Sequence[int]) -> float:
    errors = []
    for number in judged:
        rows = targets[:, number] >= 0
        if rows.any():
            errors.append(figures.calibration_error(shares[rows, number], targets[rows, number] > 0))
    return float(np.mean(errors)) if errors else float("nan")


def _log_loss(shares: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    known = targets >= 0
    given = np.where(targets > 0, shares, 1 - shares.astype(np.float64))[known]
    return float(-np.log(np.clip(given, 1e-15, 1)).mean()) if len(given) else float("nan")


def _occurrence(wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (labels, labels): how many images have both; on the diagonal, how many have one."""
    counts = wanted.astype(np.int64)
    return counts.T @ counts


def _together(wanted: NDArray[np.bool_], decided: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of labels of which the second is said of images that have only the first, the most frequent first."""
    only = wanted.astype(np.int64).T @ (~wanted & (decided > 0)).astype(np.int64)
    order = np.argsort(-only, axis=None, kind="stable")[:_PAIRS]
    pairs = (divmod(int(one), len(classes)) for one in order)
    return [
        {"has": classes[row], "said": classes[column], "count": int(only[row, column]), "of": int(wanted[:, row].sum())}
        for row, column in pairs
        if only[row, column] > 1
    ]


def _set_figures(members: NDArray[np.bool_], wanted: NDArray[np.bool_], groups: Sequence[str] | None) -> dict[str, Any]:
    """Return how well sets (N, labels) keep their promise: the mean share of an image's labels in its set, and their size.

    Images without a label count for the size only. Each group counts once, as in the promise.
    """
    rows = np.flatnonzero(wanted.any(axis=1))
    kept = (members & wanted)[rows].sum(axis=1) / np.maximum(wanted[rows].sum(axis=1), 1)
    names = None if groups is None else [groups[row] for row in rows.tolist()]
    numbers = np.arange(len(rows)) if names is None else np.unique(np.array(names), return_inverse=True)[1]

    def mean(chosen: NDArray[np.int64]) -> float:
        counts = np.bincount(numbers[chosen])
        sums = np.bincount(numbers[chosen], kept[chosen])
        times = np.bincount(numbers[chosen])[np.flatnonzero(counts)] / np.bincount(numbers)[np.flatnonzero(counts)]
        means = sums[counts > 0] / counts[counts > 0]
        return float(np.average(means, weights=times))  # a group drawn twice counts twice

    empty = {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    return {
        "coverage": figures.bootstrap(mean, len(rows), names) if len(rows) else empty,
        "mean_size": float(members.sum(axis=1).mean()),
        "empty_share": float((~members.any(axis=1)).mean()),
    }


def _spread_of(trainings: Sequence[Predictions], judged: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return figure → its values in each training, their mean and standard deviation."""
    values: dict[str, list[float]] = {"accuracy": [], "mean_roc_area": [], "log_loss": []}
    for one in trainings:
        areas = []
        for number in judged:
            rows = one.targets[:, number] >= 0
            areas.append(auroc(one.probabilities[rows, number], one.targets[rows, number] > 0))
        values["accuracy"].append(float(one.right.mean()))
        values["mean_roc_area"].append(float(np.mean(areas)) if areas else float("nan"))
        values["log_loss"].append(_log_loss(one.probabilities, one.targets))
    return {
        name: {"values": found, "mean": float(np.mean(found)), "deviation": float(np.std(found, ddof=1))}
        for name, found in values.items()
    }


def _fold_figures(predictions: Predictions, fold: int) -> dict[str, float]:
    right = predictions.right[predictions.folds == fold]
    return {"images": len(right), **figures.wilson(int(right.sum()), len(right)).to_dict()}


def _training_plots(setting: Setting) -> Iterator[Sketch | Plot]:
    """Draw some training images, and the training's progress."""
    dataset, pixels, say = setting.dataset, setting.pixels, setting.say
    sample = np.sort(np.random.default_rng(0).permutation(setting.trained)[:16])
    names = [
        shorten(join(name for name, value in zip(dataset.classes, row, strict=True) if value > 0) or "–", 22)
        for row in dataset.targets[sample].tolist()
    ]
    figure = partial(sample_grid, pixels[sample], names, say)
    yield Sketch("samples", figure, say("Grid of training images, each under its labels."))
    yield from curves_plot(setting.history, setting.watched, say)


def _answer_plots(
    predictions: Predictions, setting: Setting, measured: dict[str, Any], told: dict[str, Discrimination]
) -> Iterator[Sketch | Plot]:
    """Draw what the model answered, each plot with its alternative text."""
    say, classes = setting.say, predictions.classes
    images, targets, decided = setting.pixels[predictions.rows], predictions.targets, predictions.predicted
    shares, right = predictions.probabilities, predictions.right

    def grid(name: str, rows: NDArray[np.intp], title: str, alt: str) -> Sketch:
        figure = partial(tag_grid, images[rows], targets[rows], shares[rows], decided[rows], classes, title, say)
        return Sketch(name, figure, alt)

    some = np.random.default_rng(0).permutation(len(targets))[:15]
    alt = say(
        "{right} of {count} images drawn at random have all labels right; bars show the probability of each label.",
        right=int(right[some].sum()),
        count=len(some),
    )
    yield grid("predictions", some, say("Answers to images never seen before"), alt)
    if told:
        areas = {name: one.figures["roc_area"] for name, one in told.items()}
        listed = ", ".join(f"{name} {say.number(one['value'], 3)}" for name, one in areas.items())
        alt = say("Area under the ROC curve of each label, with its interval: {areas}.", areas=listed)
        yield Sketch("areas", partial(areas_plot, measured["labels"], say), alt)
        alt = say("ROC curve and precision against recall; areas under the ROC curve: {areas}.", areas=listed)
        yield Sketch("thresholds", partial(trade_off, told, None, say), alt)
    if len(classes) > 1:
        alt = say("How many of the images with one label have another too.")
        yield Sketch("occurrence", partial(occurrence_plot, np.array(measured["occurrence"]), classes, say), alt)
    wrong = np.flatnonzero(~right)
    surprise = np.where(targets > 0, 1 - shares, np.where(targets < 0, 0, shares)).max(axis=1)
    surest = wrong[np.argsort(-surprise[wrong], kind="stable")][:15]
    if len(surest):
        alt = say(
            "The {count} images with the most surprising labels, with the bars of their probabilities.",
            count=len(surest),
        )
        yield grid("mistakes", surest, say("The most confident mistakes"), alt)
    ece, before = measured["ece"]["value"], measured.get("uncalibrated", {}).get("reliability")
    alt = say(
        "Share of images with a label against its probability; the calibration error is {ece}.", ece=say.percent(ece)
    )
    yield Sketch("reliability", partial(reliability_diagram, measured["reliability"], ece, before, say), alt)
