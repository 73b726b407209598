"""What every plot shares: colours that colour-blind people can tell apart, fonts, and how a figure becomes a PNG."""

from __future__ import annotations

import io
import warnings
from typing import IO, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from mirante.evaluation.plots.fonts import drawn, fonts_for, needs_other_font
from mirante.images import Pixels

# Okabe and Ito's palette, "Color Universal Design" (2008)
BLUE, RED, GREY, LIGHT = "#0072B2", "#D55E00", "#767676", "#E4E7EB"
INK = "#1d2530"
DPI = 120

Box = tuple[float, float, float, float]
"""Left, top, width and height on a sheet, in inches."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, with automatic layout."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_facecolor("white")
    return figure


def tidy(axes: Axes) -> None:
    """Keep only the left and bottom lines of an axes, and a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.grid(color=LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)


def show_image(axes: Axes, image: Pixels) -> None:
    """Draw one uint8 image (H, W, C) without axes, its pixels as squares."""
    axes.imshow(np.broadcast_to(image, (*image.shape[:2], 3)), interpolation="nearest")
    axes.set_axis_off()


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one empty axes that covers it, in inches from the top left.

    For many small pictures: a grid of axes with automatic layout takes ten times as long to draw.
    """
    figure = Figure(figsize=(width, height))
    figure.set_facecolor("white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return figure, axes


def place_image(axes: Axes, image: Pixels, box: Box) -> Box:
    """Draw a uint8 image (H, W, C) in the middle of a box (left, top, width, height) of a sheet; return where it lies."""
    left, top, width, height = box
    scale = min(width / image.shape[1], height / image.shape[0])
    wide, high = image.shape[1] * scale, image.shape[0] * scale
    left, top = left + (width - wide) / 2, top + (height - high) / 2
    smaller = image.shape[1] > wide * DPI
    axes.imshow(
        np.broadcast_to(image, (*image.shape[:2], 3)),
        extent=(left, left + wide, top + high, top),
        aspect="auto",
        interpolation="antialiased" if smaller else "nearest",
    )
    return left, top, wide, high


def shorten(name: str, length: int = 16) -> str:
    """Cut a name that would not fit, or number it (see fonts). Dollar signs are escaped: matplotlib would read them as formulas."""
    name = drawn(name)
    return (name if len(name) <= length else name[: length - 1] + "…").replace("$", r"\$")


def png(figure: Figure, alt: str = "") -> bytes:
    """Return the figure as PNG bytes, which hold its alternative text."""
    buffer = io.BytesIO()
    save(figure, buffer, format="png", dpi=DPI, metadata={"Description": alt} if alt else None)
    return buffer.getvalue()


def save(figure: Figure, buffer: IO[Any], **options: Any) -> None:
    """Write a figure, each text in fonts of this computer that have its letters."""
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if needs_other_font(text.get_text()):
            text.set_fontfamily(fonts_for(text.get_text()))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a text that was read may hold anything
        figure.savefig(buffer, **options)
