"""The file formats of images: what each is called, how its files end, and opening one. The one list of them.

Decoders of still raster images only: PostScript, FITS, video and the like are not opened for untrusted files.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Format:
    """A format.

    name     as Pillow calls it
    title    as people call it
    endings  of its files, the usual one first
    extra    the extra of Mirante that it needs, if it is not read by the base install
    """

    name: str
    title: str
    endings: tuple[str, ...]
    extra: str | None = None


FORMATS = (
    Format("JPEG", "JPEG", ("jpg", "jpeg", "jpe", "jfif")),
    Format("PNG", "PNG", ("png", "apng")),
    Format("HEIF", "HEIC", ("heic", "heif", "hif")),
    Format("WEBP", "WebP", ("webp",)),
    Format("TIFF", "TIFF", ("tif", "tiff")),
    Format("GIF", "GIF", ("gif",)),
    Format("BMP", "BMP", ("bmp", "dib")),
    Format("AVIF", "AVIF", ("avif", "avifs")),
    Format("JPEG2000", "JPEG 2000", ("jp2", "j2k", "jpx", "jpc")),
    Format("PPM", "PPM", ("ppm", "pgm", "pbm", "pnm")),
    Format("MPO", "MPO", ("mpo", "jpg", "jpeg")),  # opened as JPEG, which then finds out
    Format("TGA", "TGA", ("tga",)),
    Format("ICO", "ICO", ("ico",)),
    Format("DICOM", "DICOM", ("dcm", "dicom"), extra="medical"),
)

ENDINGS = {one.name: one.endings for one in FORMATS}

_OPENED = tuple(one.name for one in FORMATS if one.name not in ("HEIF", "MPO", "DICOM"))
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")

# the first bytes of files that lie among images and are not read, and what they are
_OTHERS = (
    (b"%PDF", "a PDF"), (b"8BPS", "a Photoshop file"), (b"%!PS", "PostScript"), (b"<!DOCTYPE", "a web page"), (b"<html", "a web page"),
    (b"<svg", "a vector drawing (SVG)"), (b"<?xml", "XML, perhaps a vector drawing"), (b"FUJIFILMCCD-RAW", "a RAW photo of a camera"),
    (b"IIRO", "a RAW photo of a camera"), (b"IIU\0", "a RAW photo of a camera"), (b"PK\3\4", "a ZIP archive"),
    (b"\x1aE\xdf\xa3", "a film"), (b"SIMPLE  =", "a FITS file"),
)  # fmt: skip


def open_image(data: bytes) -> Image.Image:
    """Return an encoded image, opened by Pillow and not yet decoded. Raises what Pillow's openers raise."""
    if not is_heif(data):
        return Image.open(io.BytesIO(data), formats=_OPENED)
    import pi_heif

    pi_heif.register_heif_opener()  # a second time changes nothing
    return Image.open(io.BytesIO(data), formats=("HEIF", *_OPENED))


def is_heif(data: bytes) -> bool:
    """Tell whether it is what phones write as HEIC: an ISO box file whose brand is one of HEIF with HEVC in it."""
    return data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS


def named(data: bytes) -> str:
    """Say what a file that is not read is, if its first bytes tell; "not an image that can be read" otherwise.

    >>> named(b"%PDF-1.7"), named(b"hello")
    ('a PDF, not an image that can be read', 'not an image that can be read')
    """
    for start, what in _OTHERS:
        if data.startswith(start):
            return f"{what}, not an image that can be read"
    if data[4:8] == b"ftyp":
        what = "a RAW photo of a camera" if data[8:11] == b"crx" else "a film"
        return f"{what}, not an image that can be read"
    return "not an image that can be read"
