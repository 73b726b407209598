"""The page of a film's timeline: a bar of its stretches, and a picture of each."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

import mirante
from mirante.data.films import StillOf, duration
from mirante.errors import ImageError
from mirante.locale import Language
from mirante.templates import environment, raw_css
from mirante.timeline import Stretch, clock

_WIDTH, _MOST = 200, 400  # pixels of a picture, and how many pictures a page has
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#5254A3")
_NONE = "#9AA5B1"


def page(found: Sequence[Stretch], say: Language) -> str:
    """Return a self-contained HTML page of the stretches of one or more films."""
    labels = list(dict.fromkeys(one.label for one in found if one.label is not None))
    colours = {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(labels)}
    films = []
    for film in dict.fromkeys(one.film for one in found):
        own = [one for one in found if one.film == film]
        end = max(1e-3, _length(film), *(one.end for one in own))
        films.append(
            {
                "name": film,
                "length": clock(end),
                "stretches": [_shown(one, end, colours, number < _MOST, say) for number, one in enumerate(own)],
                "lanes": _lanes(own, end, colours, say),
            }
        )
    template = environment("mirante.evaluation").get_template("timeline.html.j2")
    footer = say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__)
    return template.render(css=raw_css(), say=say, films=films, footer=footer) + "\n"


def _length(film: str) -> float:
    try:
        return duration(Path(film).expanduser()) or 0.0
    except ImageError:
        return 0.0


def _shown(one: Stretch, end: float, colours: dict[str, str], pictured: bool, say: Language) -> dict[str, Any]:
    return {
        "label": say("none of these") if one.label is None else one.label,
        "colour": _NONE if one.label is None else colours[one.label],
        "begin": clock(one.begin),
        "end": clock(one.end),
        "confidence": say.confidence(one.confidence),
        "left": f"{100 * one.begin / end:.3f}",
        "width": f"{100 * (one.end - one.begin) / end:.3f}",
        "picture": _picture(one) if pictured else "",
    }


def _lanes(own: Sequence[Stretch], end: float, colours: dict[str, str], say: Language) -> list[dict[str, Any]]:
    """Return the bars: one for all stretches if none overlap, else one for each label."""
    overlap = any(after.begin < before.end - 1e-6 for before, after in pairwise(own))
    names: list[str | None] = list(dict.fromkeys(one.label for one in own)) if overlap else [None]
    return [
        {
            "name": name or "",
            "stretches": [_shown(one, end, colours, False, say) for one in own if not overlap or one.label == name],
        }
        for name in names
    ]


def _picture(one: Stretch) -> str:
    """Return a picture from the middle of a stretch as a data URL; empty when it cannot be had."""
    try:
        pixels = StillOf(Path(one.film).expanduser(), (one.begin + one.end) / 2)()
    except ImageError:
        return ""
    image = Image.fromarray(pixels)
    image.thumbnail((_WIDTH, _WIDTH))
    held = io.BytesIO()
    image.save(held, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
