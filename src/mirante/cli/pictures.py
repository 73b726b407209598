"""An image in a terminal: two pixels per character, the upper half-block, next to what a model says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mirante.cli.tables import console
from mirante.images import Pixels, read_image

if TYPE_CHECKING:
    from rich.text import Text

_LINES = 8  # of text, so 16 pixels high


def print_beside(pixels: Pixels, path: str | None, lines: Text) -> None:
    """Print a uint8 image (H, W, C) small, with its path and what a task says about it."""
    from rich.table import Table
    from rich.text import Text

    beside = Text(path or "", style="bold", overflow="fold")
    beside.append_text(lines)
    table = Table.grid(padding=(0, 2))
    table.add_row(half_blocks(pixels), beside)
    console().print(table)
    console().print()


def half_blocks(pixels: Pixels) -> Text:
    """Return a uint8 image (H, W, C) as coloured text, 8 lines high."""
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
