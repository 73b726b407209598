"""Images whose numbers are larger than bytes or are floats: their numbers, all bits of them.

Pillow keeps only the high byte of 16-bit colour. Its decoders are asked twice here, once for the high bytes and once, as if the
file had the other byte order, for the low ones.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from mirante.rendering import Depth, Window, full_range, shown_between

_log = logging.getLogger("mirante")

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_WHITE_IS_ZERO = 0  # of the TIFF tag PhotometricInterpretation, 262
_STRIP = 1 << 20  # pixels turned into bytes at once
_MOST = 1 << 24  # pixels from which an image's own window is found, if it has more


class Numbers:
    """The numbers of an image, rows at a time.

    mode  how Pillow calls them once they are bytes
    """

    def __init__(self, image: Image.Image, low: Image.Image | None, mode: str, inverted: bool = False) -> None:
        """Hold decoded images: the numbers or the high bytes of them, and the low bytes."""
        self._image, self._low, self._inverted = image, low, inverted
        self.mode = mode
        self._has_alpha = mode in ("LA", "RGBA")

    def values(self, top: int = 0, bottom: int | None = None) -> NDArray[Any]:
        """Return the rows from top to before bottom: (H, W) or (H, W, channels), alpha last."""
        box = (0, top, self._image.width, self._image.height if bottom is None else bottom)
        found: NDArray[Any] = np.asarray(self._image.crop(box))
        if self._low is not None:
            found = found.astype(np.uint16) << 8
            found |= np.asarray(self._low.crop(box))
            return found
        if self.mode == "LA":  # two numbers of 16 bits, read as one of 32
            both = found.view(np.uint32)
            return np.stack([both >> 16, both & 0xFFFF], axis=2).astype(np.uint16)
        return found.astype(np.uint16) if self._image.mode.startswith("I;16") else found

    def colours(self) -> NDArray[Any]:
        """Return all rows without alpha."""
        return self._without_alpha(self.values())

    def shown(self, window: Window) -> Image.Image:
        """Return the image as bytes, through the window. Alpha is not windowed: it has its own full range."""
        width, height = self._image.size
        full = full_range(self.values(0, 1))
        seen: NDArray[Any] = np.zeros(0)
        if window.per_image:
            every = max(1, width * height // _MOST)  # rows of a very large image that are passed over
            seen = np.concatenate([self._without_alpha(one[::every]).ravel() for _, one in self._strips()])
        bounds = window.bounds(seen, full)
        found = Image.new(self.mode, (width, height))
        ends = np.zeros(256, np.int64)
        for top, values in self._strips():
            rows = shown_between(values, *bounds)
            if self._inverted:
                rows = 255 - rows
            if self._has_alpha:
                rows[..., -1] = shown_between(values[..., -1], *full)
            ends += np.bincount(rows.ravel(), minlength=256)
            found.paste(Image.frombytes(self.mode, (width, len(rows)), np.ascontiguousarray(rows).tobytes()), (0, top))
        if not self._has_alpha and max(ends[0], ends[255]) > 0.9 * ends.sum():
            extremes = [(one.min(), one.max()) for _, one in self._strips()]
            if np.ptp(extremes) > 0:
                _tell_once(f"{bounds[0]:g} to {bounds[1]:g}")
        return found

    def _strips(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the first row and the values of some rows at a time."""
        width, height = self._image.size
        step = max(1, _STRIP // width)
        for top in range(0, height, step):
            yield top, self.values(top, min(height, top + step))

    def _without_alpha(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[..., :-1] if self._has_alpha else values


@lru_cache(maxsize=16)
def _tell_once(window: str) -> None:
    """Say, once per process and window, that images lie outside of it."""
    _log.warning(
        f"An image whose numbers differ is nearly all black or all white in the window, {window}: its numbers are of another "
        "kind or range than those that the window was chosen from."
    )


def depth_of(image: Image.Image) -> Depth:
    """Tell what numbers an opened image that is not yet decoded holds."""
    if image.mode == "F":
        return "floats"
    return "integers" if image.mode.startswith("I") or _raw_mode(image) is not None else "bytes"


def read_numbers(image: Image.Image, again: Callable[[], Image.Image]) -> Numbers:
    """Return the numbers of an opened image that is not bytes; `again` opens the same one a second time."""
    inverted = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(262) == _WHITE_IS_ZERO
    raw = _raw_mode(image)
    if raw is None:
        _as_libtiff_gives_it(image)
        image.load()
        return Numbers(image, None, "L", inverted and (image.mode == "F" or image.mode.startswith("I;16")))
    if raw == "LA;16B":
        return Numbers(_decoded(image, "I;32B", "I"), None, "LA")
    mode = image.mode
    low = _decoded(again(), raw[:-1] + _OTHER_ORDER[raw[-1]], mode)
    return Numbers(_decoded(image, raw, mode), low, mode)


def _decoded(image: Image.Image, raw: str, mode: str) -> Image.Image:
    """Return an opened image decoded as if it held numbers of another kind."""
    assert isinstance(image, ImageFile.ImageFile)
    tiles = []
    for one in image.tile:
        args = raw if isinstance(one.args, str) else (raw, *(one.args or ())[1:])
        tiles.append(one._replace(args=args))
    image.tile = tiles
    image._mode = mode
    image.load()
    return image


def _as_libtiff_gives_it(image: Image.Image) -> None:
    """Have numbers that libtiff decodes read in this machine's byte order, in which it gives them, and not in the file's."""
    if not isinstance(image, ImageFile.ImageFile) or image.format != "TIFF" or sys.byteorder != "little":
        return
    native = {"F;32BF": "F;32F", "I;32BS": "I;32S", "I;16BS": "I;16S", "I;32B": "I;32"}
    image.tile = [
        one._replace(args=(native.get(one.args[0], one.args[0]), *one.args[1:]))
        if one.codec_name == "libtiff" and isinstance(one.args, tuple)
        else one
        for one in image.tile
    ]


def _raw_mode(image: Image.Image) -> str | None:
    """Return how the decoder is told of 16-bit colour; None for anything else."""
    for one in getattr(image, "tile", ()):
        args = getattr(one, "args", None)
        raw = args if isinstance(args, str) else args[0] if isinstance(args, tuple) and args else None
        if isinstance(raw, str) and ";16" in raw and not raw.startswith("I"):
            return raw
    return None
