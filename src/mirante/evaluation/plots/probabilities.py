"""How good the probabilities are: how dispersed those of right and wrong answers are, and whether they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from mirante.evaluation.plots.style import BLUE, GREY, RED, new_figure, tidy
from mirante.locale import Language


def dispersion(entropies: NDArray[np.floating], right: NDArray[np.bool_], say: Language) -> Figure:
    """Draw the distribution of the entropies (N,), 0 to 1, of right answers against wrong ones."""
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    bins = np.linspace(0, 1, 26).tolist()
    for chosen, colour, name in ((right, BLUE, say("Right answers")), (~right, RED, say("Wrong answers"))):
        if chosen.any():
            weights = np.full(int(chosen.sum()), 1 / chosen.sum())
            label = f"{name} ({say.number(int(chosen.sum()))})"
            axes.hist(entropies[chosen], bins, weights=weights, color=colour, alpha=0.55, label=label)
            axes.axvline(float(np.median(entropies[chosen])), color=colour, linestyle="--", linewidth=1.5)
    axes.set_xlabel(say("Dispersion of the probabilities (0: all on one class; 1: the same for every class)"))
    axes.set_ylabel(say("Share of answers"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say.number(value, 1)))
    axes.set_title(say("Are wrong answers more dispersed?"), fontsize=12)
    axes.legend(frameon=False, fontsize=9)
    tidy(axes)
    return figure


def reliability_diagram(
    bins: list[dict[str, Any]], ece: float, before: list[dict[str, Any]] | None, say: Language
) -> Figure:
    """Draw the share of right answers against confidence, bin by bin (mirante.evaluation.metrics.reliability).

    before  the bins of the same answers without calibration, drawn behind
    """
    figure = new_figure(5.6, 5.6)
    axes, below = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    confidences = np.array([one["confidence"] for one in bins])
    shares = np.array([one["value"] for one in bins])
    low = shares - np.array([one["low"] for one in bins])
    high = np.array([one["high"] for one in bins]) - shares
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label=say("Perfect calibration"))
    if before is not None:
        points = [[one[key] for one in before] for key in ("confidence", "value")]
        axes.plot(*points, color=RED, marker="x", markersize=6, linestyle="none", label=say("Before calibration"))
    axes.errorbar(
        confidences,
        shares,
        yerr=np.maximum([low, high], 0),
        color=BLUE,
        marker="o",
        markersize=5,
        capsize=3,
        linestyle="none",
        elinewidth=1.3,
        label=say("This model, with 95% intervals"),
    )
    axes.set_ylabel(say("Share of right answers"))
    axes.set_title(say("Reliability (calibration error {ece})", ece=say.percent(ece, 1)), fontsize=12)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    below.bar(confidences, [one["images"] for one in bins], width=0.05, color=GREY)
    below.set_ylabel(say("Images"))
    below.set_xlabel(say("Confidence"))
    for place in (axes, below):
        place.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
        tidy(place)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
    return figure
