"""The two panels of a training: accuracy and loss, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from mirante.evaluation.plots.style import BLUE, RED, new_figure, tidy
from mirante.locale import Language


class Point(Protocol):
    """One epoch of a history."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def train_accuracy(self) -> float: ...
    @property
    def val_loss(self) -> float | None: ...
    @property
    def val_accuracy(self) -> float | None: ...


def curves(history: Sequence[Point], watched: str, say: Language) -> Figure:
    """Draw accuracy and loss of the training images and of those watched, `val` or `test`."""
    figure = new_figure(10.5, 4.2)
    left, right = figure.subplots(1, 2)
    epochs = [point.epoch for point in history]
    names = {
        "accuracy": (
            say("Training accuracy"),
            say("Test accuracy") if watched == "test" else say("Validation accuracy"),
        ),
        "loss": (say("Training loss"), say("Test loss") if watched == "test" else say("Validation loss")),
    }
    for axes, kind, title in ((left, "accuracy", say("Accuracy")), (right, "loss", say("Loss"))):
        train = [getattr(point, f"train_{kind}") for point in history]
        axes.plot(epochs, train, color=BLUE, marker="o", markersize=4, label=names[kind][0])
        if history and getattr(history[0], f"val_{kind}") is not None:
            other = [getattr(point, f"val_{kind}") for point in history]
            axes.plot(epochs, other, color=RED, marker="s", markersize=4, linestyle="--", label=names[kind][1])
        axes.set_xlabel(say("Epoch"))
        axes.set_title(title, fontsize=12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=9)
        tidy(axes)
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.number(value, 2)))
    return figure
