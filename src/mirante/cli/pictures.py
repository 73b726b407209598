"""An image in a terminal: two pixels a character, the upper half-block, beside the bars of its probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mirante.cli.tables import console
from mirante.images import Pixels, read_image
from mirante.locale import Language

if TYPE_CHECKING:
    from rich.text import Text

    from mirante.prediction.classifier import Prediction
    from mirante.prediction.reader import Reading
    from mirante.prediction.stream import Answer

_LINES = 8  # of text, so 16 pixels high
_BAR = 24


def print_answer(answer: Answer[Prediction], say: Language) -> None:
    """Print one image small, with its path and its most probable classes."""
    from rich.text import Text

    prediction = answer.prediction
    lines = Text(prediction.path or "", style="bold", overflow="fold")
    for place, number in enumerate(prediction.order[: _LINES - 4]):
        share = float(prediction.probabilities[number])
        bar = "█" * round(share * _BAR)
        lines.append(f"\n{bar:<{_BAR}} ", style="blue" if place == 0 else "bright_black")
        lines.append(f"{say.confidence(share):>6}  {prediction.classes[number]}", style="bold" if place == 0 else "")
    if prediction.none_of_these:
        lines.append(f"\n{say('none of these')}?", style="bold red")
    if prediction.plausible is not None:
        names = ", ".join(prediction.plausible) or "–"
        lines.append(f"\n{say('unsure') if prediction.unsure else say('Plausible')}: {names}")
    _print_beside(answer.pixels, lines)


def print_reading(answer: Answer[Reading], say: Language) -> None:
    """Print one image small, with its path and what was read in it, letter by letter."""
    from rich.text import Text

    reading = answer.prediction
    lines = Text(reading.path or "", style="bold", overflow="fold")
    lines.append(f"\n{reading.text or '–'}  {say.confidence(reading.confidence)}", style="bold blue")
    if reading.unsure:
        lines.append(f"  {say('unsure')}", style="bold red")
    for start in range(0, len(reading.letters), 8):
        told = (f"{letter} {say.confidence(share, 0)}" for letter, share in reading.letters[start : start + 8])
        lines.append("\n" + "   ".join(told), style="bright_black")
    _print_beside(answer.pixels, lines)


def _print_beside(pixels: Pixels, lines: Text) -> None:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_row(half_blocks(pixels), lines)
    console().print(table)
    console().print()


def half_blocks(pixels: Pixels) -> Text:
    """Return an image uint8 (H, W, C) as coloured text, 8 lines high."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    height, width, _ = pixels.shape
    columns = min(40, max(4, round(2 * _LINES * width / height)))
    small = read_image(np.ascontiguousarray(pixels), (2 * _LINES, columns), 3, "squash")
    text = Text()
    for line in range(_LINES):
        for column in range(columns):
            upper, lower = (Color.from_rgb(*(int(v) for v in small[2 * line + half, column])) for half in (0, 1))
            text.append("▀", Style(color=upper, bgcolor=lower))
        if line < _LINES - 1:
            text.append("\n")
    return text
