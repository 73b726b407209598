"""One image: any file, bytes or PIL image becomes a uint8 array (height, width, channels), 1 channel or 3.

It knows nothing of labels, models or folders. Training and prediction both read images here and nowhere else, so that
a model predicts on pixels made exactly as those it was trained on.
"""

from __future__ import annotations

import logging
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from mirante import dicom
from mirante.colour import transform_of
from mirante.deep import depth_of, read_numbers
from mirante.errors import ImageError, UnavailableError
from mirante.formats import is_several, named, open_image, pages, turn_to
from mirante.rendering import USUAL, Depth, Rendering
from mirante.resize import Fit, Strips, fitted

# Pillow warns about large images and odd metadata; both are handled here, once, and reported with the image's name.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else, with no other handler, it goes to the terminal

Pixels = NDArray[np.uint8]
"""One image, uint8 (height, width, channels), or several, (N, height, width, channels)."""

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what brings the image upright."""

MAX_PIXELS = 120_000_000
"""A larger image (width × height) is refused before it is decoded: 120 megapixels already take 360 MB."""

MAX_BYTES = 512 * 1024 * 1024
"""A larger file is refused before it is read."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

_PNG_EXIF = (b"eXIf", b"Raw profile type exif")


@dataclass(frozen=True)
class Header:
    """What an image file says about itself before it is decoded; sizes in pixels, as shown (after EXIF rotation).

    depth  what numbers it holds, and so whether a window decides how they are shown
    pages  pages or frames, of which one counts
    """

    height: int
    width: int
    channels: Literal[1, 3]
    depth: Depth = "bytes"
    pages: int = 1


def read_header(data: bytes, page: int = 0) -> Header:
    """Return the size and channels of an encoded image without decoding its pixels; `page` as in Rendering.

    Raises ImageError when the bytes are not an image in a known format, or it has more than MAX_PIXELS.
    """
    if dicom.is_dicom(data):
        header = dicom.read_size(data, page)
        _require_pixels(header.width, header.height)
        return Header(*header)
    with _opened(data, page) as image:
        width, height = image.size
        grey, depth = _is_grey(image), depth_of(image)
        # Pillow turns a TIFF by itself; it would decode a PNG to look for EXIF behind the pixels, which is rare
        plain = image.format == "PNG" and "exif" not in image.info and not any(one in data for one in _PNG_EXIF)
        if image.format != "TIFF" and not plain and orientation(image) >= 5:
            width, height = height, width
        return Header(height, width, 1 if grey else 3, depth, pages(image))


def read_image(
    source: bytes | str | Path | Image.Image | Pixels,
    size: tuple[int, int] | None = None,
    channels: Literal[1, 3] = 3,
    fit: Fit = "crop",
    rendering: Rendering = USUAL,
) -> Pixels:
    """Return an image as uint8 (height, width, channels).

    source     encoded bytes, a path, a PIL image, or a uint8 array (H, W) or (H, W, 1|3|4)
    size       wanted (height, width) in pixels; None keeps the image's own
    channels   1 for grey, 3 for red, green, blue
    fit        what happens when the aspect differs; see Fit
    rendering  how numbers that are not bytes become bytes, and which page counts

    EXIF rotation is applied, transparency lies over white, colour profiles and CMYK become sRGB; DICOM is shown as its own window
    says (mirante.dicom), unless the rendering has one.

    A JPEG is always decoded whole: decoding it at a fraction of its size would be two or three times as fast for large photos,
    but no other program could reproduce the result, and an exported model would answer differently.

    Raises ImageError with the reason when it cannot be read.
    """
    if isinstance(source, np.ndarray):
        return to_pixels(_from_array(source), size, channels, fit)
    if isinstance(source, Image.Image):
        with _decoding():
            if depth_of(source) == "integers" and not source.mode.startswith(
                "I"
            ):  # Pillow would keep the high bytes only
                if not getattr(source, "filename", ""):
                    raise ImageError(
                        "16-bit colour opened by Pillow, which keeps half of it; give the file or its bytes"
                    )
                return read_image(Path(source.filename), size, channels, fit, rendering)  # type: ignore[attr-defined]
            source.load()
            shown = _as_bytes(source, rendering, lambda: source)
        return to_pixels(shown, size, channels, fit)
    data = source if isinstance(source, bytes) else read_bytes(Path(source))
    plain = _plain_jpeg(data) if rendering.page < 2 else None
    if plain is not None:
        if plain.shape == (*(size or plain.shape[:2]), channels):
            return plain
        return to_pixels(Image.fromarray(plain if plain.shape[2] == 3 else plain[:, :, 0]), size, channels, fit)
    with _opened(data, rendering.page, rendering) as image:
        with _decoding():
            shown = _as_bytes(image, rendering, lambda: _opened(data, rendering.page))
        return to_pixels(shown, size, channels, fit)


def read_values(data: bytes, page: int = 0) -> NDArray[Any]:
    """Return the numbers of an image that are not bytes as the file holds them, (H, W) or (H, W, C), without alpha.

    Raises ImageError.
    """
    if dicom.is_dicom(data):
        with _decoding():
            return dicom.read_values(data, page)
    with _opened(data, page) as image, _decoding():
        return read_numbers(image, lambda: _opened(data, page)).colours()


def read_reduced(data: bytes, least: int, rendering: Rendering = USUAL) -> Pixels:
    """Return an encoded image as uint8 (height, width, 1 or 3), decoded at a fraction of its size where that is faster.

    least  pixels the shorter side keeps, if the image has that many

    Every byte of the file is still read: a damaged or truncated one raises ImageError, as with `read_image`.
    """
    plain = _plain_header(data) if rendering.page < 2 else None
    if plain is not None:
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(data, plain[2], min_height=least, min_width=least, min_factor=1)
            return pixels
        except (ValueError, MemoryError):  # Pillow finds out what is wrong, or reads it all the same
            pass
    with _opened(data, rendering.page, rendering) as image:
        channels: Literal[1, 3] = 1 if _is_grey(image) else 3
        with _decoding():
            if image.format == "JPEG" and min(image.size) >= 2 * least:
                image.draft(None, (least, least))
            shown = _as_bytes(image, rendering, lambda: _opened(data, rendering.page))
        shrink = min(shown.size) // least
        return to_pixels(
            shown.reduce(shrink) if shrink > 1 and shown.mode in ("L", "RGB") else shown, None, channels, "crop"
        )


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raises ImageError when it is missing, unreadable or larger than MAX_BYTES."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ImageError("a pipe or device, not a file")  # reading it might wait for ever
        if status.st_size > MAX_BYTES:
            raise ImageError(f"file larger than {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise UnavailableError(_os_reason(error)) from error


def to_pixels(image: Image.Image, size: tuple[int, int] | None, channels: Literal[1, 3], fit: Fit) -> Pixels:
    """Return a PIL image of bytes as uint8 (height, width, channels), rotated upright and brought to the size."""
    with _decoding():
        turn = _TURNED.get(orientation(image))  # by the tag alone: whatever else the EXIF block holds does not matter
        upright = image if turn is None else image.transpose(turn)
        flat = Strips(upright, channels)
        pixels = np.asarray(flat.whole() if size is None else fitted(flat, size, fit))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _as_bytes(image: Image.Image, rendering: Rendering, again: Callable[[], Image.Image]) -> Image.Image:
    """Return an opened image decoded, its numbers as bytes; `again` opens it once more."""
    if depth_of(image) == "bytes":
        image.load()
        return image
    shown = read_numbers(image, again).shown(rendering.window)
    turned = 1 if image.format == "TIFF" else orientation(image)
    shown.info = {name: image.info[name] for name in ("icc_profile",) if name in image.info}
    if turned in _TURNED:
        shown = shown.transpose(_TURNED[turned])
    return shown


@contextmanager
def _decoding() -> Iterator[None]:
    """Make an ImageError of whatever a decoder raises: it ends the work on one image, and on no other."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise UnavailableError("not enough memory to decode it") from error
    except Exception as error:  # OSError, SyntaxError, ValueError, struct.error and more
        raise ImageError(_reason(error)) from error


def _plain_jpeg(data: bytes) -> Pixels | None:
    """Return the pixels of a sound JPEG without EXIF and in sRGB, else None.

    The same decoder as Pillow's without Pillow's overhead: four times as fast for small images, bit for bit equal.
    """
    plain = _plain_header(data)
    if plain is None:
        return None
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, plain[2])
        return pixels
    except (ValueError, MemoryError):  # Pillow finds out what is wrong, or reads it all the same
        return None


def _plain_header(data: bytes) -> tuple[int, int, str] | None:
    """Return (height, width, colour space) of a JPEG that only needs decoding, else None."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    profile = bytearray()
    for kind, block in _segments(data):
        if kind == 0xE1 and block[:5] == b"Exif\0":
            return None
        if kind == 0xE2 and block[:12] == b"ICC_PROFILE\0":
            profile += block[14:]
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, MemoryError):
        return None
    if profile and transform_of(bytes(profile), "L" if colours == "Gray" else "RGB") is not None:
        return None
    if colours not in ("YCbCr", "Gray") or width * height > MAX_PIXELS:
        return None
    return height, width, "GRAY" if colours == "Gray" else "RGB"


def _opened(data: bytes, page: int = 0, rendering: Rendering | None = None) -> Image.Image:
    """Return an image, opened at a page but not decoded; a DICOM file is decoded, with the rendering if there is one."""
    if not data:
        raise ImageError("the file is empty")
    if dicom.is_dicom(data):
        header = dicom.read_size(data, page)
        _require_pixels(header.width, header.height)
        with _decoding():
            pixels = dicom.read_pixels(data, rendering or Rendering(page=page))
        return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    try:
        image = open_image(data)
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(named(data)) from error
    _require_pixels(*image.size)
    if page > 1 or (image.format == "TIFF" and is_several(image)):
        with _decoding():
            turn_to(image, max(1, page))
        _require_pixels(*image.size)
    return image


def _is_grey(image: Image.Image) -> bool:
    return image.mode in _GREY_MODES or "LA;16" in str(getattr(image, "tile", ""))


def _require_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(f"{width}×{height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")
    if width == 0 or height == 0:
        raise ImageError("an image without pixels")


def has_exif(jpeg: bytes) -> bool:
    """Tell whether a JPEG holds an EXIF block, wherever it stands before the pixels.

    >>> has_exif(b"\\xff\\xd8\\xff\\xfe\\x00\\x04no\\xff\\xe1\\x00\\x08Exif\\0\\0\\xff\\xda")
    True
    """
    return any(kind == 0xE1 and block[:5] == b"Exif\0" for kind, block in _segments(jpeg))


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content) of the segments of a JPEG that stand before the pixels."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        kind = jpeg[at + 1]
        if kind == 0xFF:  # padding
            at += 1
            continue
        if kind == 0xDA:  # the pixels
            return
        if 0xD0 <= kind <= 0xD8 or kind == 0x01:  # a mark without content
            at += 2
            continue
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if 0xE1 <= kind <= 0xE2:
            yield kind, jpeg[at + 4 : at + 2 + length]
        at += 2 + length


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, 1 if it has none: 5 to 8 are rotated by 90°."""
    if not any(name in image.info for name in ("exif", "Raw profile type exif")) and image.format not in (None, "TIFF"):
        return 1  # what other blocks (XMP) say of it, some programs follow and others not
    try:
        return int(image.getexif().get(0x0112, 1))  # the tag's number
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _from_array(array: NDArray[np.generic]) -> Image.Image:
    if array.dtype != np.uint8:
        raise ImageError(f"an array of {array.dtype}; images must be uint8, 0 to 255")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"an array of shape {array.shape}; an image is (height, width) or (height, width, 1, 3 or 4)")
    return Image.fromarray(np.ascontiguousarray(array))


def _reason(error: BaseException) -> str:
    text = str(error)
    if "truncated" in text or "ended" in text or "Truncated" in text:
        return "truncated: the file ends before the image does"
    return "damaged: its pixels cannot be decoded"


def _os_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder, not a file"
    return f"cannot be opened ({error.strerror or error})"
