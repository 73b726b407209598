"""Bringing an image to a size, in strips of rows, so that memory follows the pixels asked for and not those that a file claims."""

from __future__ import annotations

import math
from typing import Literal

from PIL import Image

from mirante.colour import to_srgb, transform_of

Fit = Literal["crop", "pad", "squash"]
"""How an image of another shape is brought to the input size.

crop    scaled until it covers the input size, then the centre is cut out: aspect kept, edges lost (the default)
pad     scaled until it fits inside, then black around it: aspect kept, nothing lost
squash  scaled to the input size: nothing lost, aspect lost
"""

FITS: tuple[Fit, ...] = ("crop", "pad", "squash")

_STRIP = 1 << 20  # pixels converted at once
_MOST = 1 << 24  # pixels of an image that is wider than asked for, or taller, while it is resized

_CLEAR = frozenset({"RGBA", "LA", "PA", "La", "RGBa"})


class Strips:
    """A decoded image whose rows become RGB or grey some at a time: over white, in sRGB."""

    def __init__(self, image: Image.Image, channels: Literal[1, 3]) -> None:
        self._image = image
        self.mode = "L" if channels == 1 else "RGB"
        self.width, self.height = image.size
        self._clear = image.mode in _CLEAR or "transparency" in image.info
        self._flat = "L" if image.mode in ("LA", "La") else "RGB"
        mode = self._flat if self._clear or image.mode == "P" else image.mode
        self._transform = transform_of(image.info.get("icc_profile"), mode)

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def whole(self) -> Image.Image:
        """Return all of it at its own size."""
        if not self._clear and self._transform is None:
            return self._shown(self._image)
        found = Image.new(self.mode, self.size)
        step = max(1, _STRIP // self.width)
        for top in range(0, self.height, step):
            found.paste(self._rows(top, min(self.height, top + step)), (0, top))
        return found

    def across(self, width: int, left: float, right: float, first: int, last: int) -> Image.Image:
        """Return the rows from first to before last, resized across to a width; left and right are the ends of what is seen."""
        found = Image.new(self.mode, (width, last - first))
        step = max(1, _STRIP // max(self.width, width))
        for top in range(first, last, step):
            rows = self._rows(top, min(last, top + step))
            rows = rows.resize((width, rows.height), Image.Resampling.BILINEAR, (left, 0, right, rows.height))
            found.paste(rows, (0, top - first))
        return found

    def down(self, height: int, top: float, bottom: float) -> Image.Image:
        """Return all columns, resized down to a height; top and bottom are the ends of what is seen."""
        found = Image.new(self.mode, (self.width, height))
        step = max(1, _STRIP // max(self.height, height))
        for left in range(0, self.width, step):
            right = min(self.width, left + step)
            columns = self._shown(self._image.crop((left, 0, right, self.height)))
            box = (0, top, right - left, bottom)
            found.paste(columns.resize((right - left, height), Image.Resampling.BILINEAR, box), (left, 0))
        return found

    def _rows(self, top: int, bottom: int) -> Image.Image:
        rows = self._image
        if (top, bottom) != (0, self.height):
            rows = rows.crop((0, top, self.width, bottom))
        return self._shown(rows)

    def _shown(self, image: Image.Image) -> Image.Image:
        if self._clear:
            rgba = image.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            image = Image.alpha_composite(white, rgba).convert(self._flat)
        elif self._transform is not None and image.mode == "P":
            image = image.convert("RGB")
        if self._transform is not None:
            image = to_srgb(image, self._transform)
        return image if image.mode == self.mode else image.convert(self.mode)


def fitted(image: Strips, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Bring an image to the size; mirante.exports.any_size does the same inside a graph, and test_exports.py checks that."""
    height, width = size
    if image.size == (width, height):
        return image.whole()
    if fit == "squash":
        return _stretched(image, size, (0, 0, *image.size))
    if fit == "crop":
        across, down = (
            min(image.width, image.height * (width / height)),
            min(image.height, image.width / (width / height)),
        )
        left, top = (image.width - across) * 0.5, (image.height - down) * 0.5
        return _stretched(image, size, (left, top, left + across, top + down))
    fills = (
        max(1, min(height, round(image.height / image.width * width))),
        max(1, min(width, round(image.width / image.height * height))),
    )
    black = Image.new(image.mode, (width, height))
    black.paste(
        _stretched(image, fills, (0, 0, *image.size)),
        (round((width - fills[1]) * 0.5), round((height - fills[0]) * 0.5)),
    )
    return black


def _stretched(image: Strips, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """Resize what lies in the box (left, top, right, bottom): first across, then down.

    In one call, some releases of Pillow use the other order, which rounds differently. Of an image so tall that the result across
    would be large, only the rows that count are taken; if all do, it is resized down first.
    """
    (height, width), (left, top, right, bottom) = size, box
    first, last = 0, image.height
    if width * image.height > _MOST:
        reach = math.ceil(max(1.0, (bottom - top) / height)) + 1
        first, last = max(0, math.floor(top) - reach), min(image.height, math.ceil(bottom) + reach)
        if width * (last - first) > _MOST:
            across = (left, 0, right, height)
            return image.down(height, top, bottom).resize((width, height), Image.Resampling.BILINEAR, across)
    found = image.across(width, left, right, first, last)
    return found.resize((width, height), Image.Resampling.BILINEAR, (0, top - first, width, bottom - first))
