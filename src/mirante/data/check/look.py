"""One look at every image for the data check: a small grey copy, and a few numbers that say nothing about what it shows.

Cached by content, so that a second check of the same images decodes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante import dicom
from mirante.data.entries import Entry, Source
from mirante.data.processes import on_every_core
from mirante.errors import ImageError, MiranteError
from mirante.files import write_file
from mirante.formats import ENDINGS, open_image
from mirante.images import Pixels, orientation, read_header, read_reduced
from mirante.places import cache_folder
from mirante.progress import track
from mirante.rendering import USUAL, Rendering

SIDE = 32  # pixels per side of the small copy
PLAIN = 0.25
"""An image with more than this share of pixels of one grey is plain: a drawing, a digit, a scan on an empty ground."""
_ONE_GREY = 12  # levels by which pixels of one grey may differ
_ENDS = (4, 6, 8)  # cells of the small copy at which a corner may end
_LEAST = 256  # the shorter side at which sharpness and light are measured, if the image has that many pixels
_FORMAT = 5

NUMBERS = (
    "height", "width", "channels", "orientation", "bytes_per_pixel", "quality", "brightness", "contrast", "dark", "bright",
    "saturation", "sharpness", "span", "plain", "cast_red", "cast_blue", "border", "corner_1", "corner_2", "corner_3", "corner_4",
    "corner_5", "corner_6", "corner_7", "corner_8",
)  # fmt: skip
"""The numbers of one image.

height, width    pixels, as shown
orientation      EXIF, 1 upright
bytes_per_pixel  of the file; NaN where the source holds pixels
quality          of a JPEG, 1 to 100, estimated from its quantisation table; NaN for other formats
brightness, contrast   mean and standard deviation of grey, 0 to 255
dark, bright     share of pixels below 16 and above 239
saturation       mean of the largest minus the smallest channel, 0 to 255
sharpness        standard deviation of the size of the Laplacian over that of grey
span             greys between the darkest and the brightest 1% of pixels
plain            share of pixels within 4 of the commonest grey: large for drawings, digits and scans on an empty background
cast_red, cast_blue  log of red over green, and of blue over green: of the ground, if the image is plain; of the edges, if not (the
                 grey-edge hypothesis, van de Weijer et al. 2007), which the light or the camera changes, whatever is shown; 0 if grey
border           grey of the outermost pixels, if they are of one grey; NaN if not
corner_1 to 8    how far a corner stands out from what is around it and from the border: its grey, and its detail, for top left, top
                 right, bottom left, bottom right; 0 where the content reaches into it
"""


@dataclass(frozen=True)
class Looks:
    """What was measured on N images.

    small    (N, SIDE, SIDE) uint8, grey, the whole image squeezed
    numbers  (N, len(NUMBERS)) float32
    formats  N names of file formats, as in Pillow; '' where the source holds pixels
    errors   row → why its pixels cannot be decoded; its other values are zero
    """

    small: NDArray[np.uint8]
    numbers: NDArray[np.float32]
    formats: tuple[str, ...]
    errors: dict[int, str]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Return one number of every image, (N,)."""
        column: NDArray[np.float32] = self.numbers[:, NUMBERS.index(name)]
        return column

    def only(self, rows: NDArray[np.int64]) -> Looks:
        """Return what was measured on some of the images."""
        errors = {at: self.errors[row] for at, row in enumerate(rows.tolist()) if row in self.errors}
        return Looks(self.small[rows], self.numbers[rows], tuple(self.formats[row] for row in rows.tolist()), errors)


def look(source: Source, wanted: dict[str, str], rendering: Rendering = USUAL) -> Looks:
    """Look at the images of `wanted`, path → digest of the content, in this order."""
    recipe = f"{_FORMAT} {rendering}\n" + "".join(f"{digest}\n" for digest in wanted.values())
    kept = cache_folder() / "looks" / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.npz"
    try:
        with np.load(kept, allow_pickle=False) as stored:
            errors = dict(zip(stored["failed"].tolist(), stored["reasons"].tolist(), strict=True))
            return Looks(stored["small"], stored["numbers"], tuple(stored["formats"].tolist()), errors)
    except (OSError, ValueError, KeyError, BadZipFile):
        pass
    rows = {path: row for row, path in enumerate(wanted)}
    small = np.zeros((len(wanted), SIDE, SIDE), np.uint8)
    numbers = np.zeros((len(wanted), len(NUMBERS)), np.float32)
    formats = [""] * len(wanted)
    errors = {}
    entries = (Entry(str(rows[one.path]), one.payload) for one in source.entries() if one.path in rows)
    for chunk in on_every_core(partial(_look_at_all, rendering), track(entries, "Looking at images", len(wanted))):
        for row, found in chunk:
            if isinstance(found, str):
                errors[row] = found
            else:
                small[row], numbers[row], formats[row] = found
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_file(kept, lambda part: _save(part, small, numbers, formats, errors))
    except (MiranteError, OSError):
        pass  # a cache that cannot be written: the images will be looked at again
    return Looks(small, numbers, tuple(formats), errors)


def right_suffix(path: str, form: str) -> bool:
    """Tell whether a file's name has an extension of its format, or of no known format.

    >>> [right_suffix(path, "JPEG") for path in ("a.JPG", "a.png", "scan", "a.b")]
    [True, False, True, True]
    """
    suffix = PurePosixPath(path).suffix.lower().removeprefix(".")
    return suffix in ENDINGS.get(form, (suffix,)) or not any(suffix in known for known in ENDINGS.values())


def name_pattern(path: str, classes: Sequence[str] = ()) -> str:
    """Return the pattern of a file's name, without what differs from image to image and without class names.

    >>> [name_pattern(path) for path in ("x/00001280_004.jpg", "covid/1-s2.0-S0929664620300449-gr2.png", "IMG_2041.JPG")]
    ['9_9', '9-s9.9-s9-gr9', 'img_9']
    >>> name_pattern("cat/cat.0012.jpg", ["cat", "dog"])
    '.9'
    """
    stem = PurePosixPath(path).stem.lower()
    for name in sorted(classes, key=len, reverse=True):
        stem = stem.replace(name.lower(), "")
    return re.sub(r"\d+", "9", stem)[:24]


_Look = tuple[NDArray[np.uint8], NDArray[np.float32], str]


def _look_at_all(rendering: Rendering, chunk: list[Entry]) -> list[tuple[int, _Look | str]]:
    return [(int(entry.path), _look(entry, rendering)) for entry in chunk]


def _look(entry: Entry, rendering: Rendering) -> _Look | str:
    try:
        return look_at(entry.content(), rendering)
    except ImageError as error:
        return str(error)


def look_at(content: bytes | Pixels, rendering: Rendering) -> _Look:
    """Return the small copy of one image, its numbers and its format. Raises ImageError."""
    form, turned, quality, weight = "", 1, np.nan, np.nan
    if isinstance(content, np.ndarray):
        pixels = content
        height, width, channels = pixels.shape
    else:
        header = read_header(content, rendering.page)
        height, width, channels = header.height, header.width, header.channels
        form, turned, quality = _file_facts(content)
        weight = len(content) / (height * width)
        pixels = read_reduced(content, _LEAST, rendering)
    copy, measured = measure(pixels)
    return copy, np.array([height, width, channels, turned, weight, quality, *measured], np.float32), form


def measure(pixels: Pixels) -> tuple[NDArray[np.uint8], list[float]]:
    """Return the small grey copy of an image, and its numbers from brightness on."""
    grey = grey_of(pixels)
    copy = small_copy(grey)
    spread = float(grey.std())
    saturation = float(np.ptp(pixels[::2, ::2], axis=2).mean()) if pixels.shape[2] == 3 else 0.0
    counts = np.bincount(grey.ravel(), minlength=256) / grey.size
    near = np.convolve(counts, np.ones(9), "same")
    share, commonest = float(near.max()), int(near.argmax())
    ground = commonest if share > PLAIN else None
    details = np.abs(_laplacian(grey))
    dark, light = np.searchsorted(counts.cumsum(), [0.01, 0.99])
    numbers = [
        float(grey.mean()), spread, float(counts[:16].sum()), float(counts[240:].sum()), saturation,
        float(details.std()) / (spread + 1), float(light - dark), share, *_cast(pixels, grey, ground), _border(grey),
    ]  # fmt: skip
    return copy, numbers + _corners(copy, details, ground)


def _cast(pixels: Pixels, grey: NDArray[np.uint8], ground: int | None) -> tuple[float, float]:
    """Return the log of red and of blue over green, of the ground or of the edges; `ground` is its grey, if the image is plain."""
    if pixels.shape[2] == 1 or min(pixels.shape[:2]) < 2:
        return 0.0, 0.0
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if ground is not None:
        seen = planes[:, np.abs(grey.astype(np.int16) - ground) <= 4].mean(axis=1) + 8
    else:
        seen = np.array([_steps(plane) for plane in planes]) + 0.1
    return float(np.log(seen[0] / seen[1])), float(np.log(seen[2] / seen[1]))


def _steps(plane: NDArray[np.uint8]) -> float:
    """Return the mean difference between neighbours across, plus that between neighbours down."""
    across, down = ((plane[:, 1:], plane[:, :-1]), (plane[1:], plane[:-1]))
    return float(sum((np.maximum(*pair) - np.minimum(*pair)).mean() for pair in (across, down)))


def _border(grey: NDArray[np.uint8]) -> float:
    ring = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]]).astype(np.float32)
    level = float(np.median(ring))
    return level if np.percentile(np.abs(ring - level), 90) <= _ONE_GREY else np.nan


def _corners(copy: NDArray[np.uint8], details: NDArray[np.int16], ground: int | None) -> list[float]:
    """Return how far the grey of each corner, and its detail, stand out; `ground` is the grey of a plain image's ground."""
    small = copy.astype(np.float32)
    level = float(np.median(np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]])))
    found = []
    for down in (1, -1):
        for along in (1, -1):
            here = small[::down, ::along]
            # in a plain image, a mark ends before the content begins: there is ground all around it
            ends = [end for end in _ENDS if ground is None or np.abs(_gap(here, end) - ground).max() <= _ONE_GREY]
            if not ends:
                found += [0.0, 0.0]
                continue
            mine, around = _corner(here, ends[0] / SIDE)
            one, other = mine.mean() - np.median(around), mine.mean() - level
            found.append(float(np.sign(one) * min(abs(one), abs(other))) if one * other > 0 else 0.0)
            block, beside = _corner(details[::down, ::along], ends[0] / SIDE)
            detail = (
                (np.percentile(block, 95) + 4) / (np.percentile(beside, 95) + 4) if block.size and beside.size else 1.0
            )
            found.append(max(0.0, float(np.log(detail))))
    return found


def _corner(values: NDArray[Any], share: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return, of the top left of an image, a share of each side, and what lies around that, further in, without a gap between."""
    (y, down), (x, along) = ((int(side * share), int(side * (share + 5 / SIDE))) for side in values.shape)
    beside = np.concatenate([values[:y, x + 1 : along].ravel(), values[y + 1 : down, :along].ravel()])
    return values[:y, :x], beside


def _gap(values: NDArray[Any], end: int) -> NDArray[Any]:
    return np.concatenate([values[end, : end + 1], values[:end, end]])


def small_copy(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a grey image (H, W) squeezed to (SIDE, SIDE)."""
    return np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))


def grey_of(pixels: Pixels) -> NDArray[np.uint8]:
    """Return an image (H, W, 1 or 3) as grey (H, W)."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else np.asarray(Image.fromarray(pixels).convert("L"))


def _laplacian(grey: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return how much each pixel differs from the mean of its four neighbours, times 4, without the outermost ring."""
    if min(grey.shape) < 3:
        return np.zeros((1, 1), np.int16)
    wide = grey.astype(np.int16)
    around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    return around - 4 * wide[1:-1, 1:-1]


def _file_facts(content: bytes) -> tuple[str, int, float]:
    """Return the format, the EXIF orientation and, for a JPEG, the quality."""
    if content[:3] == b"\xff\xd8\xff" and b"Exif\0" not in content[:4096]:
        return "JPEG", 1, _jpeg_quality(content)
    if dicom.is_dicom(content):
        return "DICOM", 1, np.nan
    with open_image(content) as image:
        form, turned = image.format or "", orientation(image)
    return form, turned, _jpeg_quality(content) if form in ("JPEG", "MPO") else np.nan


def _jpeg_quality(content: bytes) -> float:
    """Estimate the quality, as libjpeg counts it, from the first quantisation table: the mean of its 64 steps.

    libjpeg's luminance table (ITU T.81, table K.1) has a mean of 57.6 at quality 50; it is scaled by 50 / q below that, and by
    2 - q / 50 above.
    """
    at = content.find(b"\xff\xdb", 2, 65536)
    if at < 0:
        return np.nan
    wide = content[at + 4] >> 4
    table = np.frombuffer(content, ">u2" if wide else np.uint8, 64, at + 5) if len(content) > at + 5 + 128 else None
    if table is None:
        return np.nan
    scale = float(table.mean()) / 57.625
    return float(np.clip(50 * (2 - scale) if scale < 1 else 50 / scale, 1, 100))


def _save(
    path: Path, small: NDArray[np.uint8], numbers: NDArray[np.float32], formats: list[str], errors: dict[int, str]
) -> None:
    failed, reasons = np.array(list(errors), np.int64), np.array(list(errors.values()), np.str_)
    with path.open("wb") as file:
        np.savez(
            file, allow_pickle=False, small=small, numbers=numbers, formats=np.array(formats, np.str_), failed=failed, reasons=reasons
        )  # fmt: skip
