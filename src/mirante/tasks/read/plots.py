"""Images with the texts that they show or were read as, letter by letter; which letters are confused; where each was looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mirante.evaluation.plots.grids import sample_grid
from mirante.evaluation.plots.style import BLUE, GREY, INK, LIGHT, RED, new_figure, shorten, show_image, tidy
from mirante.images import Pixels
from mirante.locale import Language

_COLUMNS = 3


def text_samples(images: Pixels, texts: Sequence[str], say: Language) -> Figure:
    """Draw up to 12 images (N, H, W, C) under their texts, 4 rows of 3."""
    captions = [shorten(text, 24) for text in texts]
    return sample_grid(images, captions, say, _COLUMNS, (9.6, 1.2 + 4 * _height_of(images, 3.0)), 11)


def reading_grid(
    images: Pixels,
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    confidences: NDArray[np.floating],
    classes: Sequence[str],
    title: str,
    say: Language,
) -> Figure:
    """Draw up to 18 images, three per row, each above the letters read in it with bars for their probabilities.

    labels, predicted and the probabilities of what was predicted (N, characters), confidences (N,). A wrong letter is red, beside the
    true one.
    """
    rows = max(1, -(-min(len(images), 18) // _COLUMNS))
    picture = _height_of(images, 3.2)
    figure = new_figure(11.0, rows * (picture + 1.35) + 0.9)
    parts = figure.subfigures(rows, _COLUMNS, squeeze=False).ravel()
    for part, image, label, read, shares, sure in zip(
        parts, images, labels, predicted, probabilities, confidences, strict=False
    ):
        above, below = part.subplots(2, 1, height_ratios=(picture, 0.8))
        show_image(above, image)
        names = ["".join(classes[number] for number in numbers) for numbers in (read, label)]
        wrong = read != label
        caption = f"{shorten(names[0] or '–', 20)}  {say.confidence(float(sure), 0)}"
        caption += f"  ({shorten(names[1], 20)})" if wrong.any() else ""
        above.set_title(caption, fontsize=10, loc="left", color=RED if wrong.any() else BLUE)
        shown = np.flatnonzero((read != len(classes) - 1) | wrong)
        below.bar(
            range(len(shown)),
            shares[shown],
            color=[RED if wrong[one] else BLUE for one in shown],
            width=0.7,
        )
        ticks = [
            _letter(classes, read[one]) + (f" ({_letter(classes, label[one])})" if wrong[one] else "") for one in shown
        ]
        below.set_xticks(range(len(shown)), ticks, fontsize=10)
        for tick, one in zip(below.get_xticklabels(), shown, strict=True):
            tick.set_color(RED if wrong[one] else INK)
        below.set_ylim(0, 1)
        below.set_yticks([0, 1], ["0%", "100%"], fontsize=7, color=GREY)
        below.spines[["top", "right"]].set_visible(False)
        below.spines[["left", "bottom"]].set_color(LIGHT)
        below.tick_params(length=0)
    figure.suptitle(title, fontsize=13)
    figure.supxlabel(say("Blue: right. Orange: wrong, with the true letter in brackets."), fontsize=9.5, color=GREY)
    return figure


def confused_letters(pairs: Sequence[dict[str, Any]], say: Language) -> Figure:
    """Draw how often a letter was read as another: those of metrics.json, the most frequent pair first."""
    figure = new_figure(7.2, 1.3 + 0.32 * len(pairs))
    axes = figure.subplots()
    none = say("nothing")
    names = [
        say("{letter} read as {read}", letter=_plain(one["letter"]) or none, read=_plain(one["read"]) or none)
        for one in pairs
    ]
    axes.barh(range(len(pairs)), [one["count"] for one in pairs], color=RED, height=0.7)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel(say("Letters in the test images"))
    axes.set_title(say("The letters most often confused"), fontsize=12)
    tidy(axes)
    return figure


def attention_grid(images: Pixels, looks: NDArray[np.floating], texts: Sequence[str]) -> Figure:
    """Draw, one image (N, H, W, C) per row, where the network looked for each letter of its text: looks (N, characters, h, w)."""
    columns = max(1, max(map(len, texts)))
    figure = new_figure(min(14.0, 2.1 * columns + 0.6), 0.4 + len(images) * (_height_of(images, 2.0) + 0.42))
    axes = figure.subplots(len(images), columns, squeeze=False)
    height, width = images.shape[1:3]
    for line, image, maps, text in zip(axes, images, looks, texts, strict=True):
        for number, place in enumerate(line):
            place.set_axis_off()
            if number < len(text):
                show_image(place, image)
                heat = maps[number] / maps[number].max()
                where = (0, width, height, 0)
                place.imshow(heat, cmap="inferno", alpha=0.55, vmin=0, vmax=1, interpolation="bilinear", extent=where)
                place.set_title(_plain(text[number]), fontsize=12)
    return figure


def _height_of(images: Pixels, width: float) -> float:
    """Return the height in inches of images at a width, limited for very wide or tall ones."""
    return float(width * min(2.0, max(0.25, images.shape[1] / images.shape[2])))


def _letter(classes: Sequence[str], number: int) -> str:
    return _plain(classes[number]) or "–"


def _plain(letter: str) -> str:
    return letter.replace("$", r"\$")
