"""The typical drawing of a CNN: volumes that shrink and deepen, dense layers as columns, the classes at the end.

This module knows polygons and texts, not formats: `to_svg` writes them with the standard library alone, so that a page can
draw a line of layers at every keystroke; `to_figure` hands them to matplotlib for the formats that it writes.

Heights are to scale. Thickness grows with the square root of the channels, since 3 and 512 must fit into one picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from xml.sax.saxutils import escape

from mirante.locale import Language
from mirante.model.notation import Layer, Shape, parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, float]
Ink = Literal["input", "conv", "pool", "dense", "classes", "line", "text", "soft"]

# Okabe and Ito's palette, "Color Universal Design" (2008); shapes and words say the same as the colours
COLOURS: dict[Ink, str] = {
    "input": "#B8C0CA", "conv": "#56B4E9", "pool": "#E69F00", "dense": "#009E73", "classes": "#CC79A7",
    "line": "#4A5460", "text": "#1d2530", "soft": "#5b6673",
}  # fmt: skip

_TALLEST, _LOWEST = 130.0, 7.0  # pixels
_SLANT = 0.32  # of a volume's side, drawn backwards
_COLUMN = 92.0  # least width of a layer, for its words
_ROW_WIDTH = 1180.0
_NAMED = 10  # at most this many classes are written out


@dataclass(frozen=True)
class Polygon:
    """A filled shape with a thin edge; `shade` from 0 (as is) towards 1 (dark)."""

    points: tuple[Point, ...]
    ink: Ink
    shade: float = 0.0


@dataclass(frozen=True)
class Text:
    """Words whose middle (or beginning) and baseline are at a point; size in pixels."""

    at: Point
    words: str
    size: float = 11.0
    ink: Ink = "text"
    anchor: Literal["middle", "start"] = "middle"


@dataclass
class Drawing:
    """What is drawn, its width and height in pixels, and a description for those who cannot see it."""

    marks: list[Polygon | Text] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    alt: str = ""


@dataclass
class _Stage:
    """One volume or column of the drawing, and the words of the layers that leave its shape as it is."""

    kind: str
    word: str
    shape: Shape
    parameters: int
    after: list[str] = field(default_factory=list)


def draw_model(layers: Sequence[Layer], shape: Shape, classes: Sequence[str] | int, say: Language) -> Drawing:
    """Draw the layers of a network for images (height, width, channels); `classes` are their names or their number."""
    stages = _stages(layers, shape, say)
    tallest = max(max(stage.shape[0] for stage in stages if len(stage.shape) == 3), 1)
    most = max(stage.shape[-1] for stage in stages)
    drawing = Drawing()
    left, base, row_height = 14.0, 0.0, _TALLEST + 40
    marks: list[Polygon | Text] = []
    for number, stage in enumerate(stages):
        last = number == len(stages) - 1
        names = list(classes) if last and not isinstance(classes, int) and len(classes) <= _NAMED else []
        body, width = _body(stage, tallest, most, last)
        longest = max([0.0, *(6.2 * len(_cut(name)) + 26 for name in names)])
        lines = [stage.word, " × ".join(map(str, stage.shape))]
        lines.append(say("{count} parameters", count=say.number(stage.parameters)) if stage.parameters else "")
        lines.append(" · ".join(stage.after))
        column = max(_COLUMN, width + 16, 2 * longest, 6.4 * max(map(len, lines)) + 6)
        if left + column > _ROW_WIDTH and left > 14:
            left, base = 14.0, base + row_height + 78
        middle = left + column / 2
        floor = base + row_height
        marks += [_moved(mark, middle - width / 2, floor) for mark in body]
        for place, name in enumerate(names):
            step = max(13.0, _column_height(stage.shape[-1], most) / len(names))
            y = floor - step * (len(names) - place - 0.7)
            marks.append(Text((middle + width / 2 + 5, y), _cut(name), 10.5, anchor="start"))
        for line, words in enumerate(lines):
            marks.append(
                Text(
                    (middle, floor + 18 + 14 * line),
                    words,
                    11.5 if line == 0 else 10.5,
                    "text" if line == 0 else "soft",
                )
            )
        drawing.width = max(drawing.width, left + column + 14)
        left += column
    drawing.marks = marks
    drawing.height = base + row_height + 78
    total = sum(stage.parameters for stage in stages)
    sizes = [" × ".join(map(str, stage.shape)) for stage in stages]
    drawing.alt = say(
        "A network drawn as {count} volumes and columns, from {first} to {last}; {total} parameters in all.",
        count=len(stages), first=sizes[0], last=sizes[-1], total=say.number(total),
    )  # fmt: skip
    return drawing


def to_svg(drawing: Drawing, background: bool = True) -> str:
    """Return the drawing as SVG. Without a background, texts and lines take the colour of the page's text."""
    width, height = round(drawing.width), round(drawing.height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(drawing.alt, {chr(34): "&quot;"})}" font-family="system-ui, sans-serif">',
        f"<title>{escape(drawing.alt)}</title>",
    ]
    if background:
        parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for mark in drawing.marks:
        if isinstance(mark, Polygon):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            parts.append(
                f'<polygon points="{points}" fill="{_shaded(mark)}" stroke="{COLOURS["line"]}" stroke-width="0.8"/>'
            )
        elif mark.words:
            fill = COLOURS[mark.ink] if background else "currentColor"
            (x, y) = mark.at
            parts.append(
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{mark.size}" text-anchor="{mark.anchor}" fill="{fill}">'
                f"{escape(mark.words)}</text>"
            )
    return "\n".join([*parts, "</svg>\n"])


def to_figure(drawing: Drawing) -> Figure:
    """Return the drawing as a matplotlib figure, a hundred pixels per inch."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon as Patch

    figure = Figure(figsize=(drawing.width / 100, drawing.height / 100), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    axes.set_axis_off()
    for mark in drawing.marks:
        if isinstance(mark, Polygon):
            axes.add_patch(Patch(mark.points, facecolor=_shaded(mark), edgecolor=COLOURS["line"], linewidth=0.6))
        elif mark.words:
            words = mark.words.replace("$", r"\$")
            align = "center" if mark.anchor == "middle" else "left"
            axes.text(*mark.at, words, fontsize=mark.size * 0.72, ha=align, va="baseline", color=COLOURS[mark.ink])
    return figure


def _stages(layers: Sequence[Layer], shape: Shape, say: Language) -> list[_Stage]:
    """Return the volumes and columns; what leaves the shape as it is (BN, dropout, activations) joins the one before."""
    stages = [_Stage("input", say("image"), shape, 0)]
    before = shape
    names = {"batchnorm": "BN", "relu": "ReLU", "gelu": "GELU"}
    for number, layer in enumerate(layers):
        count = parameters(layer, before)
        if layer.kind in ("batchnorm", "dropout", "relu", "gelu"):
            stages[-1].parameters += count
            if layer.word or layer.kind != "relu":
                stages[-1].after.append(names.get(layer.kind, layer.word))
        else:
            kind = {"maxpool": "pool", "avgpool": "pool", "gap": "dense", "gmp": "dense", "flatten": "dense"}.get(
                layer.kind, "dense" if layer.kind in ("dense", "attention", "reshape") else "conv"
            )
            last = number == len(layers) - 1
            word = say("classes") if last else layer.word or (say("flat") if layer.kind == "flatten" else layer.kind)
            stages.append(_Stage("classes" if last else kind, word, layer.output, count))
        before = layer.output
    return stages


def _body(stage: _Stage, tallest: int, most: int, last: bool) -> tuple[list[Polygon | Text], float]:
    """Return the shape of a stage with its lower left corner at (0, 0), and its width in pixels."""
    ink: Ink = stage.kind  # type: ignore[assignment]
    if len(stage.shape) < 3:
        height, width = _column_height(stage.shape[-1], most), 16.0
        marks: list[Polygon | Text] = [Polygon(((0, 0), (width, 0), (width, -height), (0, -height)), ink)]
        cells = stage.shape[-1] if stage.shape[-1] <= 24 else 0
        for cell in range(1, cells):
            y = -height * cell / cells
            marks.append(Polygon(((0, y), (width, y), (width, y), (0, y)), ink))
        return marks, width
    tall, wide = (max(_LOWEST, _TALLEST * side / tallest) for side in stage.shape[:2])
    thick = max(3.0, 64 * (stage.shape[2] / most) ** 0.5)
    back, up = wide * _SLANT, wide * _SLANT * 0.75
    front = Polygon(((0, 0), (thick, 0), (thick, -tall), (0, -tall)), ink)
    top = Polygon(((0, -tall), (thick, -tall), (thick + back, -tall - up), (back, -tall - up)), ink, 0.12)
    side = Polygon(((thick, 0), (thick + back, -up), (thick + back, -tall - up), (thick, -tall)), ink, 0.25)
    return [front, top, side], thick + back


def _column_height(neurons: int, most: int) -> float:
    return max(14.0, _TALLEST * math.sqrt(neurons / most))


def _moved(mark: Polygon | Text, x: float, y: float) -> Polygon | Text:
    if isinstance(mark, Text):
        return Text((mark.at[0] + x, mark.at[1] + y), mark.words, mark.size, mark.ink, mark.anchor)
    return Polygon(tuple((px + x, py + y) for px, py in mark.points), mark.ink, mark.shade)


def _shaded(mark: Polygon) -> str:
    colour = COLOURS[mark.ink]
    parts = [round(int(colour[at : at + 2], 16) * (1 - mark.shade)) for at in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _cut(name: str, length: int = 16) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
