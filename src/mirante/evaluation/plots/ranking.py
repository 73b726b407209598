"""The ranking of models as a picture: accuracy with its interval, the best on top."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from mirante.evaluation.plots.style import BLUE, GREY, new_figure, shorten, tidy
from mirante.locale import Language


def ranking(
    names: Sequence[str],
    accuracies: Sequence[tuple[float, float, float]],
    within_noise: Sequence[bool],
    say: Language,
) -> Figure:
    """Draw (value, low, high) of each model, best first; those within the noise of the best are blue, as it is."""
    figure = new_figure(8.0, 1.5 + 0.42 * len(names))
    axes = figure.subplots()
    for place, ((value, low, high), near) in enumerate(zip(accuracies, within_noise, strict=True)):
        colour = BLUE if near or place == 0 else GREY
        axes.errorbar(
            value, place, xerr=[[max(value - low, 0)], [max(high - value, 0)]], color=colour, marker="o", capsize=4
        )
        axes.annotate(say.percent(value), (value, place), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(range(len(names)), [shorten(name, 32) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 1)))
    axes.set_xlabel(
        say("Accuracy on the same test images, with 95% intervals (blue: within the noise of the best)"), fontsize=9
    )
    tidy(axes)
    return figure
