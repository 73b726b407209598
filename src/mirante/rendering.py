"""How the numbers in an image file become pixels: which number is black and which white, and which page counts.

A file of bytes needs no choice. 16 bits, floats and the like do, and the choice belongs to the data set and to its model, not to
the image: chosen by each image's own values, the same brightness would look different from one image to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError

Depth = Literal["bytes", "integers", "floats"]
"""What numbers a file holds: bytes, which are pixels already; larger integers; floats."""

ASKED = "asked for"
"""Why a window is what it is, if the user named it."""

_USUAL = (255, 1023, 4095, 16383, 65535)  # the largest numbers of 8, 10, 12, 14 and 16 bits
_NARROW = 0.25  # values that fill less than this of a usual range are given all of the greys
_WITHIN = (0.1, 99.9)  # percentiles of the values that a narrow window holds
_CUT = (0.5, 99.5)  # percentiles between which `per image` shows an image


@dataclass(frozen=True)
class Window:
    """Which number becomes black and which white; bytes are left as they are.

    low, high  the numbers; None for the full range of the file's kind of numbers
    per_image  from the 0.5th to the 99.5th percentile of each image's own values
    asked      whether the user asked for it; it then counts even for a DICOM file that has a window of its own
    """

    low: float | None = None
    high: float | None = None
    per_image: bool = False
    asked: bool = False

    def __str__(self) -> str:
        if self.per_image:
            return "per image"
        if self.low is None or self.high is None:
            return "full range"
        return f"{_number(self.low)}–{_number(self.high)}"

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read "full range", "per image", or two numbers such as "0-4095". Raises RequestError.

        >>> str(Window.parse("-1000-400")), str(Window.parse("full-range")), str(Window.parse("0.5–1e3"))
        ('-1000–400', 'full range', '0.5–1000')
        """
        plain = text.strip().lower().replace("−", "-")
        if re.sub(r"[\s_-]+", " ", plain) in ("full range", "per image"):
            return cls(per_image=plain.startswith("per"))
        number = r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)"
        match = re.fullmatch(rf"{number}\s*(?:-|–|:|\.\.|\s)\s*{number}", plain)
        if match is None or not -np.inf < float(match[1]) < float(match[2]) < np.inf:
            raise RequestError(
                f"window {text!r}: write the number that becomes black and the larger one that becomes white, such as 0-4095; or "
                "full-range, or per-image."
            )
        return cls(float(match[1]), float(match[2]))

    def bounds(self, values: NDArray[Any], full: tuple[float, float]) -> tuple[float, float]:
        """Return the numbers that become black and white for these values; `full` is the whole range of their kind."""
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if not self.per_image:
            return full
        known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        if not known.size:
            return full
        low, high = np.percentile(known, _CUT)
        return (float(low), float(high)) if low < high else (float(known.min()), float(known.max()))


@dataclass(frozen=True)
class Rendering:
    """How the numbers of a file become pixels.

    window  see Window
    page    which of several pages or frames counts, from 1; 0 for the usual one: the first, of a DICOM file the middle
    """

    window: Window = field(default_factory=Window)
    page: int = 0

    def __str__(self) -> str:
        return f"{self.window}{' as asked' if self.window.asked else ''}, page {self.page}"


USUAL = Rendering()
"""Every number through its full range, the usual page."""


def full_range(values: NDArray[Any]) -> tuple[float, float]:
    """Return the range that a kind of numbers usually fills: 0 to 1 for floats, 0 to 65,535 for integers of more than 8 bits."""
    return (0.0, 1.0) if values.dtype.kind == "f" else (0.0, 65535.0)


def shown_between(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return values as uint8: `low` and below become 0, `high` and above 255; what is not a number, 0."""
    if values.dtype == np.uint16:  # one look into a table per pixel
        table = shown_between(np.arange(65536, dtype=np.float64), low, high)
        return np.take(table, values)
    if high <= low:
        return np.where(values > low, 255, 0).astype(np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):  # damaged files hold any number
        share = (np.nan_to_num(values.astype(np.float64), nan=low) - low) / (high - low)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255 + 0.5).astype(np.uint8)


def choose_window(samples: Iterable[NDArray[Any]]) -> tuple[Window, str]:
    """Return the window for images with such values, and why.

    samples  for each of some training images, its values (any shape) before any window
    """
    lowest, highest, pooled, kinds = np.inf, -np.inf, [], set()
    for one in samples:
        known = (
            one[np.abs(one) < 1e30] if one.dtype.kind == "f" else one.ravel()
        )  # larger ones say that there is no value
        if not known.size:
            continue
        kinds.add("f" if one.dtype.kind == "f" else "i")
        lowest, highest = min(lowest, float(known.min())), max(highest, float(known.max()))
        pooled.append(known[:: max(1, known.size // 10_000)].astype(np.float64))
    if not pooled:
        return Window(), "no training image has a value"
    if len(kinds) > 1:
        return Window(), "some training images hold integers and others floats"
    floats = kinds == {"f"}
    low, high = (float(one) for one in np.percentile(np.concatenate(pooled), _WITHIN))
    ranges = (1, *_USUAL) if floats else _USUAL
    top = next((one for one in ranges if highest <= one), None)
    if lowest >= 0 and top is not None and high - low >= _NARROW * top:
        if top == (1 if floats else 65535):
            return Window(), "the values of the training images fill it"
        return Window(0, top), "the smallest usual range that holds all values of the training images"
    if low >= high:
        low, high = lowest, highest
    if low >= high:
        return Window(), "the training images hold one value only"
    low, high = (float(f"{low:.4g}"), float(f"{high:.4g}")) if floats else (np.floor(low), np.ceil(high))
    return Window(float(low), float(high)), "99.8% of the values of the training images lie there"


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else repr(value)
