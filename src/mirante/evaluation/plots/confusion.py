"""The confusion matrix: true classes as rows, predicted ones as columns, shaded by the share of the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.evaluation.plots.style import new_figure, shorten
from mirante.locale import Language

_NUMBERS_UP_TO = 20


def confusion(matrix: NDArray[np.int64], classes: Sequence[str], say: Language) -> Figure:
    """Draw (classes, classes) counts; with more than 20 classes the cells have no numbers and few names are written."""
    count = len(classes)
    side = min(12.0, max(4.6, 2.6 + 0.52 * count))
    figure = new_figure(side, side * 0.94)
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    step = max(1, count // 40)
    names = [shorten(name, 14) for name in classes]
    axes.set_xticks(
        range(0, count, step), names[::step], rotation=90 if count > 6 else 0, fontsize=9 if count <= 20 else 6
    )
    axes.set_yticks(range(0, count, step), names[::step], fontsize=9 if count <= 20 else 6)
    axes.set_xlabel(say("Predicted class"))
    axes.set_ylabel(say("True class"))
    axes.set_title(say("Confusion matrix"), fontsize=12)
    if count <= _NUMBERS_UP_TO:
        for row in range(count):
            for column in range(count):
                colour = "white" if shares[row, column] > 0.5 else "#1d2530"
                text = say.number(int(matrix[row, column]))
                axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    return figure
