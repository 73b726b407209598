"""Plots of several labels: images with the bars of their labels, areas under the ROC curve, which labels come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from mirante.evaluation.plots.style import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    RED,
    new_figure,
    place_image,
    sheet,
    shorten,
    tidy,
)
from mirante.images import Pixels
from mirante.locale import Language

_BARS = 9  # of an image
_TITLE, _CAPTION, _HIGH = 0.45, 0.1, 2.1  # inches: above all pictures, between them, of one
_NUMBERS_UP_TO = 20


def tag_grid(
    images: Pixels,
    targets: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    decided: NDArray[np.int64],
    classes: Sequence[str],
    title: str,
    say: Language,
) -> Figure:
    """Draw up to 15 images with the bars of their most probable labels, 5 rows of 3; those that they have, always.

    Blue: the image has the label. Orange: it was said to have it, and has not. Names of what was said are bold.
    """
    rows = max(1, -(-min(len(images), 15) // 3))
    width, height = 11.0, (_HIGH + _CAPTION) * rows + _TITLE + 0.3
    figure, axes = sheet(width, height)
    axes.text(width / 2, 0.1, title, fontsize=13, ha="center", va="top")
    wide = width / 3
    for number, (image, truth, shares, said) in enumerate(
        zip(images[:15], targets[:15], probabilities[:15], decided[:15], strict=True)
    ):
        row, column = divmod(number, 3)
        left, top = column * wide + 0.1, _TITLE + row * (_HIGH + _CAPTION)
        place_image(axes, image, (left, top, 1.7, _HIGH))
        shown = _shown(truth, shares)
        step = min(_HIGH / len(shown), 0.3)
        middle = top + step * (np.arange(len(shown)) + 0.5)
        bars, across = left + 2.7, wide - 2.9
        colours = [BLUE if truth[one] > 0 else RED if said[one] and truth[one] == 0 else "#9aa5b1" for one in shown]
        axes.barh(middle, across * shares[shown], left=bars, color=colours, height=0.75 * step)
        axes.plot([bars, bars], [top, top + step * len(shown)], color=LIGHT, linewidth=0.8)
        for place, one in zip(middle, shown, strict=True):
            missed = truth[one] > 0 and not said[one]
            axes.text(
                bars - 0.05,
                place,
                shorten(classes[int(one)], 13),
                fontsize=7.5,
                ha="right",
                va="center",
                color=RED if missed else INK,
                fontweight="bold" if said[one] else "normal",
            )
    legend = say(
        "Blue: it has the label. Orange bar: said, and it has not. Orange name: it has it, and it was not said. Bold: said."
    )
    axes.text(width / 2, height - 0.08, legend, fontsize=9.5, color=GREY, ha="center", va="bottom")
    return figure


def areas_plot(labels: Mapping[str, Mapping[str, Any]], say: Language) -> Figure:
    """Draw the area under the ROC curve of each judged label with its interval, the best first, with how many images have it."""
    judged = {name: one for name, one in labels.items() if not one["rare"]}
    names = sorted(judged, key=lambda name: judged[name]["roc_area"]["value"])
    figure = new_figure(7.6, 1.4 + 0.32 * len(names))
    axes = figure.subplots()
    for place, name in enumerate(names):
        area = judged[name]["roc_area"]
        axes.plot([area["low"], area["high"]], [place, place], color=BLUE, linewidth=2)
        axes.plot([area["value"]], [place], "o", color=BLUE, markersize=6)
    told = [f"{shorten(name, 24)} ({say.number(judged[name]['images'])})" for name in names]
    axes.set_yticks(range(len(names)), told, fontsize=9)
    axes.axvline(0.5, color=GREY, linestyle=":")
    axes.set_xlim(min(0.45, *(judged[name]["roc_area"]["low"] - 0.02 for name in names)), 1.0)
    axes.set_xlabel(say("Area under the ROC curve, with its 95% interval (0.5 is chance)"))
    axes.set_title(say("How well each label is recognised (images that have it)"), fontsize=12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: say.number(value, 2)))
    tidy(axes)
    axes.tick_params(axis="y", labelsize=9)
    return figure


def occurrence_plot(counts: NDArray[np.int64], classes: Sequence[str], say: Language) -> Figure:
    """Draw, for the images that have the label of a row, the share that has that of a column; counts (labels, labels) of images."""
    count = len(classes)
    side = min(12.0, max(4.6, 2.6 + 0.52 * count))
    figure = new_figure(side, side * 0.94)
    axes = figure.subplots()
    shares = counts / np.maximum(np.diag(counts)[:, None], 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shorten(name, 16) for name in classes]
    step, font = max(1, count // 40), 9 if count <= _NUMBERS_UP_TO else 6
    axes.set_xticks(range(0, count, step), names[::step], rotation=90 if count > 4 else 0, fontsize=font)
    axes.set_yticks(range(0, count, step), names[::step], fontsize=font)
    axes.set_ylabel(say("Of the images with this label"))
    axes.set_xlabel(say("this share also has"))
    axes.set_title(say("Which labels come together"), fontsize=12)
    if count <= _NUMBERS_UP_TO:
        for row in range(count):
            for column in range(count):
                colour = "white" if shares[row, column] > 0.5 else INK
                text = say.percent(float(shares[row, column]), 0) if counts[row, row] else "–"
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    return figure


def _shown(truth: NDArray[np.int64], shares: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the labels to draw: all that the image has, then the most probable of the others; the most probable first."""
    order = np.argsort(-shares - 2 * (truth > 0), kind="stable")[:_BARS]
    return order[np.argsort(-shares[order], kind="stable")]
