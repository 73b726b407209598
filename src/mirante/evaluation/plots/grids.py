"""Images in rows and columns: a sample of the data, answers with their bars, the most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.evaluation.plots.style import (
    BLUE,
    GREY,
    INK,
    LIGHT,
    RED,
    Box,
    place_image,
    sheet,
    shorten,
)
from mirante.images import Pixels
from mirante.locale import Language

_TITLE, _CAPTION = 0.45, 0.27  # inches above all pictures, and above each


def sample_grid(
    images: Pixels,
    captions: Sequence[str],
    say: Language,
    columns: int = 4,
    size: tuple[float, float] = (6.4, 7.0),
    font: int = 10,
) -> Figure:
    """Draw images (N, H, W, C) under their captions, up to 4 rows; the figure is `size` (width, height) inches."""
    figure, axes = sheet(*size)
    wide, high = size[0] / columns, (size[1] - _TITLE) / 4
    axes.text(size[0] / 2, 0.1, say("A sample of the training images"), fontsize=13, ha="center", va="top")
    for number, (image, caption) in enumerate(zip(images[: 4 * columns], captions, strict=False)):
        row, column = divmod(number, columns)
        left, top = column * wide + 0.08, _TITLE + row * high + _CAPTION
        place = place_image(axes, image, (left, top, wide - 0.16, high - _CAPTION - 0.08))
        axes.text(left + wide / 2 - 0.08, place[1] - 0.05, caption, fontsize=font, ha="center", va="bottom")
    return figure


def class_samples(images: Pixels, names: Sequence[str], say: Language) -> Figure:
    """Draw up to 16 images (N, H, W, C), 4 rows of 4, each under the name of its class."""
    return sample_grid(images, [shorten(name) for name in names], say)


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
    rows = max(1, -(-min(len(images), 15) // 3))
    width, height = 11.0, 2.25 * rows + _TITLE + _CAPTION
    figure, axes = sheet(width, height)
    axes.text(width / 2, 0.1, title, fontsize=13, ha="center", va="top")
    wide = width / 3
    for number, (image, label, shares) in enumerate(zip(images[:15], labels[:15], probabilities[:15], strict=True)):
        row, column = divmod(number, 3)
        predicted = int(shares.argmax())
        left, top = column * wide + 0.1, _TITLE + row * 2.25 + _CAPTION
        _, begins, _, high = place_image(axes, image, (left, top, 1.7, 2.25 - _CAPTION - 0.1))
        caption = f"{shorten(classes[predicted])} {say.confidence(float(shares[predicted]), 0)}"
        if predicted != label:
            caption += f" ({shorten(classes[label])})"
        colour = BLUE if predicted == label else RED
        axes.text(left, begins - 0.05, caption, color=colour, fontsize=9, va="bottom")
        _draw_bars(axes, (left + 2.55, begins, wide - 2.75, high), shares, int(label), predicted, classes)
    legend = say("Blue: right. Orange: wrong, with the true class in brackets.")
    axes.text(width / 2, height - 0.08, legend, fontsize=9.5, color=GREY, ha="center", va="bottom")
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
    wide = 3.05
    high = min(wide * images.shape[1] / images.shape[2], 4.0) + _CAPTION
    figure, axes = sheet(4 * wide + 0.1, high * len(rows) + 0.1)
    for row, line in enumerate(rows):
        for column, number in enumerate(line[:4]):
            box = column * wide + 0.1, row * high + _CAPTION, wide - 0.1, high - _CAPTION
            left, top, across, down = place_image(axes, images[number], box)
            axes.imshow(
                heats[number],
                cmap="inferno",
                alpha=0.5,
                vmin=0,
                vmax=1,
                interpolation="bilinear",
                aspect="auto",
                extent=(left, left + across, top + down, top),
            )
            colour = BLUE if right[number] else RED
            axes.text(left, top - 0.05, captions[number], fontsize=9, va="bottom", color=colour)
    return figure


def _draw_bars(
    axes: Axes,
    box: Box,
    shares: NDArray[np.floating],
    label: int,
    predicted: int,
    classes: Sequence[str],
) -> None:
    """Draw a bar for each class into a box of the sheet, the names left of it."""
    left, top, width, height = box
    shown = np.arange(len(classes))
    if len(classes) > 10:
        shown = np.argsort(-shares, kind="stable")[:10]
        if label not in shown:
            shown[-1] = label
        shown = np.sort(shown)
    step = height / len(shown)
    middle = top + step * (np.arange(len(shown)) + 0.5)
    colours = [BLUE if number == label else RED if number == predicted else "#9aa5b1" for number in shown]
    axes.barh(middle, width * shares[shown], left=left, color=colours, height=min(0.75 * step, 0.3))
    axes.plot([left, left], [top, top + height], color=LIGHT, linewidth=0.8)
    for place, number in zip(middle, shown, strict=True):
        axes.text(left - 0.05, place, shorten(classes[int(number)], 12), fontsize=7, ha="right", va="center", color=INK)
