"""How objects show themselves in a notebook: pieces of HTML that take the colours of the page, light or dark, and hold their pictures.

No script and nothing fetched; text is escaped. Sizes are in pixels or in the page's own letters (em).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirante.images import Pixels
    from mirante.locale import Language

_SIDE = 72  # of a picture in a grid
_WIDTH, _HEIGHT, _EDGE = 320, 150, 24  # of a plot
_BLUE, _ORANGE = "#3b8fd0", "#e0762a"  # read on white and on black alike


def block(*parts: str) -> str:
    """Return the parts in one block."""
    return f'<div style="color: inherit; line-height: 1.4; max-width: 60em">{"".join(parts)}</div>'


def text(sentence: str, strong: bool = False) -> str:
    """Return a sentence of its own."""
    tag = "strong" if strong else "span"
    return f'<p style="margin: .3em 0"><{tag}>{escape(sentence)}</{tag}></p>'


def picture(pixels: Pixels, alt: str, side: int = _SIDE) -> str:
    """Return an image uint8 (H, W, C); a small one is enlarged as squares."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    small = max(image.size) < side
    if small:
        times = -(-side // max(image.size))
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    image.thumbnail((2 * side, 2 * side))
    held = io.BytesIO()
    image.save(held, "PNG")
    content = base64.b64encode(held.getvalue()).decode()
    style = f"width: {side}px; height: {side}px; object-fit: contain"
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{content}" style="{style}">'


@dataclass(frozen=True)
class Drawn:
    """A picture that was drawn earlier, PNG or GIF, with the words for those who cannot see it."""

    content: bytes
    alt: str

    def _repr_mimebundle_(self, **asked: object) -> dict[str, object]:
        return {"text/html": figure(self.content, self.alt), "text/plain": self.alt}


def figure(content: bytes, alt: str) -> str:
    """Return a whole picture, PNG or GIF, on white: its own colours do not follow the page."""
    kind = "gif" if content.startswith(b"GIF8") else "png"
    held = base64.b64encode(content).decode()
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{held}" style="max-width: 100%; background: white">'


def grid(pictures: Iterable[tuple[Pixels, str]]) -> str:
    """Return pictures with what stands below each."""
    cells = [
        f'<figure style="margin: 0; width: {_SIDE}px; font-size: .8em; overflow-wrap: anywhere">{picture(pixels, told)}'
        f"<figcaption>{escape(told)}</figcaption></figure>"
        for pixels, told in pictures
    ]
    return f'<div style="display: flex; flex-wrap: wrap; gap: 10px; margin: .5em 0">{"".join(cells)}</div>'


def bars(shares: Sequence[tuple[str, float]], marked: Iterable[str], say: Language) -> str:
    """Return a bar for each name and probability; the names that are `marked` are the answer."""
    chosen = set(marked)
    rows = []
    for name, share in shares:
        has = name in chosen
        colour = _BLUE if has else "currentColor"
        bar = (
            f'<div style="background: {colour}; opacity: {1 if has else 0.35}; height: .8em; '
            f'width: {max(0.3, 100 * share):.2f}%"></div>'
        )
        weight = "bold" if has else "normal"
        rows.append(
            f'<span style="font-weight: {weight}; overflow-wrap: anywhere">{escape(name)}</span><div>{bar}</div>'
            f"<span>{escape(say.confidence(share))}</span>"
        )
    style = "display: grid; grid-template-columns: minmax(6em, auto) minmax(8em, 20em) auto; gap: .2em .8em; align-items: center"
    return f'<div style="{style}">{"".join(rows)}</div>'


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells, the first of each a name."""
    lines = []
    for name, *cells in rows:
        told = "".join(f'<td style="text-align: right; padding: .1em .8em">{escape(cell)}</td>' for cell in cells)
        lines.append(
            f'<tr><th scope="row" style="text-align: left; font-weight: normal">{escape(name)}</th>{told}</tr>'
        )
    return f'<table style="border-collapse: collapse; color: inherit">{"".join(lines)}</table>'


def curves(title: str, lines: Mapping[str, Sequence[float | None]], say: Language) -> str:
    """Return a plot of one or two lines over the epochs, from the first on; None leaves a gap."""
    told = {name: [one for one in line if one is not None] for name, line in lines.items()}
    values = [one for line in told.values() for one in line]
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    high = high if high > low else low + 1
    longest = max(len(line) for line in lines.values())
    drawn, names = [], []
    for (name, line), colour in zip(lines.items(), (_BLUE, _ORANGE), strict=False):
        places = [
            f"{_EDGE + at * (_WIDTH - 2 * _EDGE) / max(1, longest - 1):.1f},"
            f"{_HEIGHT - _EDGE - (one - low) / (high - low) * (_HEIGHT - 2 * _EDGE):.1f}"
            for at, one in enumerate(line)
            if one is not None
        ]
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(places)}"/>')
        names.append(f'<span style="color: {colour}">■</span> {escape(name)}')
    axis = f"M{_EDGE},{_EDGE} V{_HEIGHT - _EDGE} H{_WIDTH - _EDGE}"
    corners = "".join(
        f'<text x="{_EDGE + 2}" y="{y}" font-size="10" fill="currentColor">{escape(say.number(value, 3))}</text>'
        for value, y in ((high, _EDGE - 6), (low, _HEIGHT - _EDGE + 14))
    )
    return (
        f'<figure style="margin: .5em 0; display: inline-block"><svg role="img" aria-label="{escape(title)}" width="{_WIDTH}" '
        f'height="{_HEIGHT}"><path d="{axis}" fill="none" stroke="currentColor" opacity=".4"/>{corners}{"".join(drawn)}</svg>'
        f"<figcaption>{escape(title)}: {', '.join(names)}</figcaption></figure>"
    )
