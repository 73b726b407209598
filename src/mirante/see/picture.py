"""A picture and a film as objects: a notebook shows them, `save` writes them, `alt` says what they show.

A picture becomes PNG or SVG, a film GIF or APNG; the words go into the file's metadata.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image, PngImagePlugin

from mirante import notebook
from mirante.errors import RequestError
from mirante.evaluation.plots.style import save
from mirante.files import write_bytes
from mirante.see.drawing import Drawing, to_figure, to_svg

STILL, MOVING = (".png", ".svg"), (".gif", ".apng", ".png")
_DOTS = 110  # per inch
_COLOURS = 128


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure or a drawing of a network, and a description for those who cannot see it."""

    figure: Figure | Drawing
    alt: str

    def png(self) -> bytes:
        """Return it as PNG."""
        figure = to_figure(self.figure) if isinstance(self.figure, Drawing) else self.figure
        buffer = io.BytesIO()
        save(figure, buffer, format="png", dpi=_DOTS, metadata={"Description": self.alt})
        return buffer.getvalue()

    def svg(self) -> str:
        """Return it as SVG."""
        if isinstance(self.figure, Drawing):
            return to_svg(self.figure)
        buffer = io.StringIO()
        save(self.figure, buffer, format="svg", metadata={"Description": self.alt, "Date": None})
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write it as .png or .svg and return the path; raises RequestError when something is already there."""
        place = require_new(Path(path), STILL)
        write_bytes(place, self.svg().encode() if place.suffix.lower() == ".svg" else self.png())
        return place

    def _repr_mimebundle_(self, **asked: object) -> dict[str, object]:
        return {"text/html": notebook.figure(self.png(), self.alt), "text/plain": self.alt}


@dataclass(frozen=True)
class Film:
    """Pictures of one size, each shown for `seconds`, the last one three times as long, in a loop."""

    pictures: Sequence[Picture]
    seconds: float = 0.8

    @property
    def alt(self) -> str:
        return self.pictures[-1].alt

    def gif(self) -> bytes:
        """Return it as GIF, in 128 colours."""
        frames = [frame.quantize(_COLOURS) for frame in self._frames()]
        buffer = io.BytesIO()
        frames[0].save(
            buffer, "GIF", save_all=True, append_images=frames[1:], duration=self._times(), loop=0, comment=self.alt
        )
        return buffer.getvalue()

    def apng(self) -> bytes:
        """Return it as animated PNG."""
        frames = self._frames()
        words = PngImagePlugin.PngInfo()
        words.add_itxt("Description", self.alt)
        buffer = io.BytesIO()
        frames[0].save(
            buffer, "PNG", save_all=True, append_images=frames[1:], duration=self._times(), loop=0, pnginfo=words
        )
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write it as .gif, .apng or .png and return the path; raises RequestError when something is already there."""
        place = require_new(Path(path), MOVING)
        write_bytes(place, self.gif() if place.suffix.lower() == ".gif" else self.apng())
        return place

    def _frames(self) -> list[Image.Image]:
        return [Image.open(io.BytesIO(picture.png())).convert("RGB") for picture in self.pictures]

    def _times(self) -> list[int]:
        milliseconds = round(1000 * self.seconds)
        return [milliseconds] * (len(self.pictures) - 1) + [3 * milliseconds]

    def _repr_mimebundle_(self, **asked: object) -> dict[str, object]:
        return {"text/html": notebook.figure(self.gif(), self.alt), "text/plain": self.alt}


def require_new(path: Path, allowed: Sequence[str]) -> Path:
    """Return the path if a picture with this suffix can be written there; raises RequestError."""
    path = path.expanduser()
    if path.suffix.lower() not in allowed:
        raise RequestError(f"{path}: a picture of this kind must end in {' or '.join(allowed)}.")
    if path.exists():
        raise RequestError(f"{path}: already exists; choose another --out.")
    if not path.parent.is_dir():
        raise RequestError(f"{path.parent}: no such folder for --out.")
    return path
