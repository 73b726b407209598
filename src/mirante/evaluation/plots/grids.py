"""Images in rows and columns: a sample of the data, answers with their bars, the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.evaluation.plots.style import BLUE, GREY, LIGHT, RED, new_figure, shorten, show_image
from mirante.images import Pixels
from mirante.locale import Language


def sample_grid(
    images: Pixels,
    captions: Sequence[str],
    say: Language,
    columns: int = 4,
    size: tuple[float, float] = (6.4, 7.0),
    font: int = 10,
) -> Figure:
    """Draw images (N, H, W, C) under their captions, up to 4 rows; the figure is `size` (width, height) inches."""
    figure = new_figure(*size)
    axes = figure.subplots(4, columns).ravel()
    for place in axes:
        place.set_axis_off()
    for place, image, caption in zip(axes, images, captions, strict=False):
        show_image(place, image)
        place.set_title(caption, fontsize=font)
    figure.suptitle(say("A sample of the training images"), fontsize=13)
    return figure


def answer_grid(
    images: Pixels,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    title: str,
    say: Language,
) -> Figure:
    """Draw up to 15 images with the bars of their probabilities, 5 rows of 3; blue is right, red is wrong.

    With more than ten classes, the ten most probable of each image are drawn, and always its true class.
    """
    rows = -(-min(len(images), 15) // 3)
    figure = new_figure(11.0, 2.25 * max(rows, 1) + 0.9)
    axes = figure.subplots(max(rows, 1), 6, squeeze=False)
    for place in axes.ravel():
        place.set_axis_off()
    for number, (image, label, shares) in enumerate(zip(images[:15], labels[:15], probabilities[:15], strict=True)):
        row, column = divmod(number, 3)
        predicted = int(shares.argmax())
        colour = BLUE if predicted == label else RED
        picture, bars = axes[row, 2 * column], axes[row, 2 * column + 1]
        show_image(picture, image)
        caption = f"{shorten(classes[predicted])} {say.confidence(float(shares[predicted]), 0)}"
        if predicted != label:
            caption += f" ({shorten(classes[label])})"
        picture.set_title(caption, color=colour, fontsize=9, loc="left")
        _draw_bars(bars, shares, int(label), predicted, classes)
    figure.suptitle(title, fontsize=13)
    figure.supxlabel(say("Blue: right. Orange: wrong, with the true class in brackets."), fontsize=9.5, color=GREY)
    return figure


def heat_grid(
    images: Pixels, heats: Sequence[NDArray[np.floating]], captions: Sequence[str], right: Sequence[bool]
) -> Figure:
    """Draw images (N, H, W, C), four per row, each overlaid with its map (h, w), 0 to 1; right answers first."""
    rows = [
        [number for number, one in enumerate(right) if one],
        [number for number, one in enumerate(right) if not one],
    ]
    rows = [row for row in rows if row]
    figure = new_figure(10.5, 3.4 * len(rows))
    axes = figure.subplots(len(rows), 4, squeeze=False)
    for place in axes.ravel():
        place.set_axis_off()
    height, width = images.shape[1:3]
    for line, row in zip(axes, rows, strict=True):
        for place, number in zip(line, row, strict=False):
            show_image(place, images[number])
            place.imshow(
                heats[number],
                cmap="inferno",
                alpha=0.5,
                vmin=0,
                vmax=1,
                interpolation="bilinear",
                extent=(0, width, height, 0),
            )
            place.set_title(captions[number], fontsize=9, loc="left", color=BLUE if right[number] else RED)
    return figure


def _draw_bars(axes: Axes, shares: NDArray[np.floating], label: int, predicted: int, classes: Sequence[str]) -> None:
    shown = np.arange(len(classes))
    if len(classes) > 10:
        shown = np.argsort(-shares, kind="stable")[:10]
        if label not in shown:
            shown[-1] = label
        shown = np.sort(shown)
    colours = [BLUE if number == label else RED if number == predicted else "#9aa5b1" for number in shown]
    axes.set_axis_on()
    axes.barh(np.arange(len(shown)), shares[shown], color=colours, height=0.75)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.set_yticks(np.arange(len(shown)), [shorten(classes[int(number)], 12) for number in shown], fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_facecolor("white")
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(LIGHT)
