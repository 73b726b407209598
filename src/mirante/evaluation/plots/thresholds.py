"""One class against the others at every threshold: the ROC curve, precision against recall, and the benefit of deciding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from mirante.evaluation.plots.style import BLUE, GREY, RED, new_figure, shorten, tidy
from mirante.evaluation.roc import GRID, Discrimination, net_benefit
from mirante.locale import Language

_MOST = 8
_COLOURS = (BLUE, RED, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", GREY)  # the palette of style.py, extended


def trade_off(
    classes: Mapping[str, Discrimination], chosen: tuple[float, float, float] | None, say: Language
) -> Figure:
    """Draw the ROC curve and precision against recall of one class with its bands, or of several without, the worst ones first.

    chosen  (false alarms, sensitivity, precision) at the chosen threshold, marked
    """
    figure = new_figure(10.5, 5.0)
    left, right = figure.subplots(1, 2)
    shown = sorted(classes, key=lambda name: classes[name].figures["roc_area"]["value"])[:_MOST]
    for name, colour in zip(shown, _COLOURS, strict=False):
        found = classes[name]
        area, average = (say.number(found.figures[key]["value"], 3) for key in ("roc_area", "average_precision"))
        left.step(found.false_alarms, found.sensitivity, where="post", color=colour, label=f"{shorten(name)} ({area})")
        right.plot(found.recall, found.precision, color=colour, label=f"{shorten(name)} ({average})")
        if len(shown) == 1:
            left.fill_between(GRID, *found.roc_band, color=colour, alpha=0.15, linewidth=0, step="post")
            right.fill_between(GRID, *found.precision_band, color=colour, alpha=0.15, linewidth=0)
            share = found.figures["images"] / (found.figures["images"] + found.figures["others"])
            right.axhline(share, color=GREY, linestyle=":")
    left.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    if chosen is not None:
        alarms, sensitivity, precision = chosen
        for axes, x, y in ((left, alarms, sensitivity), (right, sensitivity, precision)):
            axes.plot([x], [y], "o", color="black", markersize=8, label=say("The chosen threshold"), linestyle="none")
    left.set_xlabel(say("Share of the others that raise a false alarm"))
    left.set_ylabel(say("Share found (sensitivity)"))
    left.set_title(say("ROC curve (area under it)"), fontsize=12)
    right.set_xlabel(say("Share found (recall)"))
    right.set_ylabel(say("Share of the alarms that are true (precision)"))
    right.set_title(say("Precision and recall (average precision)"), fontsize=12)
    for axes in (left, right):
        _shares(axes, say)
        axes.legend(frameon=False, fontsize=9, loc="lower right" if axes is left else "lower left")
    return figure


def decision_curve(
    scores: NDArray[np.floating], wanted: NDArray[np.bool_], threshold: float | None, say: Language
) -> Figure:
    """Draw the net benefit of deciding by the scores (N,) against deciding for all and for none, by the threshold."""
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    thresholds = np.linspace(0.01, 0.99, 99)
    model = net_benefit(scores, wanted, thresholds)
    everyone = net_benefit(np.ones(len(scores)), wanted, thresholds)
    axes.plot(thresholds, model, color=BLUE, label=say("Deciding by this model"))
    axes.plot(thresholds, everyone, color=RED, linestyle="--", label=say("An alarm for every image"))
    axes.axhline(0, color=GREY, linestyle=":", label=say("No alarm at all"))
    if threshold is not None:
        axes.axvline(threshold, color="black", linewidth=1, label=say("The chosen threshold"))
    share = float(wanted.mean())
    axes.set_ylim(-0.15 * share, 1.1 * share)
    axes.set_xlim(0, 1)
    axes.set_xlabel(say("Lowest probability at which an alarm is worth it"))
    axes.set_ylabel(say("Net benefit, in images found per image"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.number(value, 2)))
    axes.set_title(say("Is deciding by the model worth it?"), fontsize=12)
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    return figure


def _shares(axes: Axes, say: Language) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
    tidy(axes)
