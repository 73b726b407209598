"""One image: any file, bytes or PIL image becomes a uint8 array (height, width, channels), 1 channel or 3.

It knows nothing of labels, models or folders. Training and prediction both read images here and nowhere else, so that
a model predicts on pixels made exactly as those it was trained on.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from mirante import dicom
from mirante.errors import ImageError, UnavailableError
from mirante.formats import named, open_image

# Pillow warns about large images and odd metadata; both are handled here, once, and reported with the image's name.
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = NDArray[np.uint8]
"""One image, uint8 (height, width, channels), or several, (N, height, width, channels)."""

Fit = Literal["crop", "pad", "squash"]
"""How an image of another shape is brought to the input size.

crop    scaled until it covers the input size, then the centre is cut out: aspect kept, edges lost (the default)
pad     scaled until it fits inside, then black around it: aspect kept, nothing lost
squash  scaled to the input size: nothing lost, aspect lost
"""

FITS: tuple[Fit, ...] = ("crop", "pad", "squash")

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


@dataclass(frozen=True)
class Header:
    """What an image file says about itself before it is decoded; sizes in pixels, as shown (after EXIF rotation)."""

    height: int
    width: int
    channels: Literal[1, 3]


def read_header(data: bytes) -> Header:
    """Return the size and channels of an encoded image without decoding its pixels.

    Raises ImageError when the bytes are not an image in a known format, or it has more than MAX_PIXELS.
    """
    if dicom.is_dicom(data):
        height, width, channels = dicom.read_size(data)
        _require_pixels(width, height)
        return Header(height, width, channels)
    with _opened(data) as image:
        width, height = image.size
        if image.format != "TIFF" and orientation(image) >= 5:  # Pillow turns a TIFF by itself
            width, height = height, width
        return Header(height, width, 1 if image.mode in _GREY_MODES else 3)


def read_image(
    source: bytes | str | Path | Image.Image | Pixels,
    size: tuple[int, int] | None = None,
    channels: Literal[1, 3] = 3,
    fit: Fit = "crop",
) -> Pixels:
    """Return an image as uint8 (height, width, channels).

    source    encoded bytes, a path, a PIL image, or a uint8 array (H, W) or (H, W, 1|3|4)
    size      wanted (height, width) in pixels; None keeps the image's own
    channels  1 for grey, 3 for red, green, blue
    fit       what happens when the aspect differs; see Fit

    EXIF rotation is applied, transparency lies over white, CMYK becomes RGB, of an animation the first frame counts. 16 bit becomes
    8 by a window over the values that the image has; DICOM is shown as its own window says (mirante.dicom).

    A JPEG is always decoded whole: decoding it at a fraction of its size would be two or three times as fast for large photos,
    but no other program could reproduce the result, and an exported model would answer differently.

    Raises ImageError with the reason when it cannot be read.
    """
    if isinstance(source, np.ndarray):
        return to_pixels(_from_array(source), size, channels, fit)
    if isinstance(source, Image.Image):
        return to_pixels(source, size, channels, fit)
    data = source if isinstance(source, bytes) else read_bytes(Path(source))
    plain = _plain_jpeg(data)
    if plain is not None:
        if plain.shape == (*(size or plain.shape[:2]), channels):
            return plain
        return to_pixels(Image.fromarray(plain if plain.shape[2] == 3 else plain[:, :, 0]), size, channels, fit)
    with _opened(data) as image:
        with _decoding():
            image.load()
        return to_pixels(image, size, channels, fit)


def read_reduced(data: bytes, least: int) -> Pixels:
    """Return an encoded image as uint8 (height, width, 1 or 3), decoded at a fraction of its size where that is faster.

    least  pixels the shorter side keeps, if the image has that many

    Every byte of the file is still read: a damaged or truncated one raises ImageError, as with `read_image`.
    """
    plain = _plain_header(data)
    if plain is not None:
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(data, plain[2], min_height=least, min_width=least, min_factor=1)
            return pixels
        except (ValueError, MemoryError):  # Pillow finds out what is wrong, or reads it all the same
            pass
    with _opened(data) as image:
        channels: Literal[1, 3] = 1 if image.mode in _GREY_MODES else 3
        with _decoding():
            if image.format == "JPEG" and min(image.size) >= 2 * least:
                image.draft(None, (least, least))
            image.load()
        shrink = min(image.size) // least
        return to_pixels(
            image.reduce(shrink) if shrink > 1 and image.mode in ("L", "RGB") else image, None, channels, "crop"
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
    """Return a decoded PIL image as uint8 (height, width, channels), rotated upright and brought to the size."""
    with _decoding():
        turn = _TURNED.get(orientation(image))  # by the tag alone: whatever else the EXIF block holds does not matter
        flat = _eight_bit(image if turn is None else image.transpose(turn), channels)
        if size is not None:
            flat = _fitted(flat, size, fit)
    pixels = np.asarray(flat)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


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
    """Return the pixels of a sound JPEG without EXIF, else None.

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
    if data[:3] != b"\xff\xd8\xff" or has_exif(data):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except (ValueError, MemoryError):
        return None
    if colours not in ("YCbCr", "Gray") or width * height > MAX_PIXELS:
        return None
    return height, width, "GRAY" if colours == "Gray" else "RGB"


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("the file is empty")
    if dicom.is_dicom(data):
        height, width, _ = dicom.read_size(data)
        _require_pixels(width, height)
        with _decoding():
            pixels = dicom.read_pixels(data)
        return Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    try:
        image = open_image(data)
    except Image.DecompressionBombError as error:
        raise ImageError(f"more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except Exception as error:
        raise ImageError(named(data)) from error
    _require_pixels(*image.size)
    return image


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
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        kind = jpeg[at + 1]
        if kind == 0xFF:  # padding
            at += 1
            continue
        if kind == 0xDA:  # the pixels
            return False
        if kind == 0xE1 and jpeg[at + 4 : at + 9] == b"Exif\0":
            return True
        at += 2 if 0xD0 <= kind <= 0xD8 or kind == 0x01 else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return False


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, 1 if it has none: 5 to 8 are rotated by 90°."""
    try:
        return int(image.getexif().get(0x0112, 1))  # the tag's number
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _eight_bit(image: Image.Image, channels: Literal[1, 3]) -> Image.Image:
    mode = image.mode
    if mode.startswith("I;16"):
        image = Image.fromarray(dicom.windowed(np.asarray(image).astype(np.uint16)))
    elif mode in ("I", "F"):
        image = Image.fromarray(_scaled_down(np.asarray(image)))
    elif mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba).convert("RGB")
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _scaled_down(values: NDArray[np.generic]) -> Pixels:
    """Floats from 0 to 1 and integers up to 255 are taken as they are; a larger range is shown through a window."""
    numbers = np.nan_to_num(values.astype(np.float64))
    highest = float(numbers.max(initial=0.0))
    if values.dtype.kind == "f" and highest <= 1.0:
        return np.clip(numbers * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return dicom.windowed(numbers) if highest > 255 else np.clip(numbers, 0, 255).astype(np.uint8)


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Bring an image to the size; mirante.exports.any_size does the same inside a graph, and test_exports.py checks that."""
    height, width = size
    if image.size == (width, height):
        return image
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


def _stretched(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    """Resize what lies in the box (left, top, right, bottom): first across, then down.

    In one call, some releases of Pillow use the other order, which rounds differently.
    """
    (height, width), (left, top, right, bottom) = size, box
    across = image.resize((width, image.height), Image.Resampling.BILINEAR, (left, 0, right, image.height))
    return across.resize((width, height), Image.Resampling.BILINEAR, (0, top, width, bottom))


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
