"""The file formats of images: what each is called, how its files end, and opening one. The one list of them.

Decoders of still raster images only: PostScript, FITS, video and the like are not opened for untrusted files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from PIL import Image

from mirante.errors import ImageError


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


_RAW_ENDINGS = (
    "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "raf", "rw2", "orf", "pef", "srw", "x3f", "3fr", "iiq", "rwl",
)  # fmt: skip

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
    Format("RAW", "RAW", _RAW_ENDINGS, extra="raw"),
)

ENDINGS = {one.name: one.endings for one in FORMATS}

_OPENED = tuple(one.name for one in FORMATS if one.name not in ("HEIF", "MPO", "DICOM", "RAW"))
_TIFF = (b"II*\0", b"MM\0*")
_REDUCED, _BITS, _CHANNELS, _PLANES, _SUB_IMAGES, _DNG_VERSION = 254, 258, 277, 284, 330, 50706  # tags of TIFF
_COUNTED = 100  # pages of a TIFF that are looked at one by one
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")

# the first bytes of files that lie among images and are not read, and what they are
_OTHERS = (
    (b"%PDF", "a PDF"), (b"8BPS", "a Photoshop file"), (b"%!PS", "PostScript"), (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"), (b"<svg", "a vector drawing (SVG)"), (b"<?xml", "XML, perhaps a vector drawing"),
    (b"PK\3\4", "a ZIP archive"), (b"\x1aE\xdf\xa3", "a film"), (b"SIMPLE  =", "a FITS file"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"), (b"\xff\x0a", "JPEG XL"), (b"gimp xcf", "a GIMP file"),
)  # fmt: skip


def ending_of(image: Image.Image) -> str:
    """Return the ending, without its dot, that a file of this opened image has; img for a format of no usual ending."""
    return ENDINGS[image.format][0] if image.format in ENDINGS else "img"


def open_image(data: bytes) -> Image.Image:
    """Return an encoded image, opened by Pillow and not yet decoded; of a RAW photo, the preview inside.

    Raises what Pillow's openers raise, and ImageError for what is known and needs something.
    """
    if is_raw(data):
        from mirante.raw import preview

        return preview(data)
    if not is_heif(data):
        if data[:4] in _TIFF:
            _quieten_libtiff()
        image = Image.open(io.BytesIO(data), formats=_OPENED)
        tags = getattr(image, "tag_v2", {})
        if image.format == "TIFF" and tags.get(_PLANES) == 2 and max(tags.get(_BITS, (8,))) > 8:
            raise ImageError(
                "a TIFF whose channels of 16 bits lie one after the other (planar); save it with interleaved channels"
            )
        return image
    if not _lists_its_items(data):
        raise ImageError("damaged: its list of parts cannot be read")
    import pi_heif

    pi_heif.register_heif_opener()  # a second time changes nothing
    return Image.open(io.BytesIO(data), formats=("HEIF", *_OPENED))


def pages(image: Image.Image) -> int:
    """Return how many pages or frames an opened image has, of which a person would choose one.

    Smaller copies of the same picture in a TIFF are none, nor are the further pictures of a phone's photo.
    """
    if image.format in ("MPO", "HEIF", "ICO"):
        return 1
    try:
        count = int(getattr(image, "n_frames", 1))
        if image.format != "TIFF" or count == 1:
            return count
        whole = 0
        for page in range(min(count, _COUNTED)):
            image.seek(page)
            whole += not image.tag_v2.get(_REDUCED, 0) & 1  # type: ignore[attr-defined]
        image.seek(0)
        return max(1, whole + max(0, count - _COUNTED))
    except Exception:  # damaged further on; the first page may be sound
        return 1


def is_several(image: Image.Image) -> bool:
    """Tell whether an opened image has more than one page or frame; a damaged one may not say."""
    try:
        return int(getattr(image, "n_frames", 1)) > 1
    except Exception:  # damaged further on
        return False


def turn_to(image: Image.Image, page: int) -> None:
    """Turn an opened image to a page, from 1. Raises ImageError when it has fewer."""
    if page > pages(image):
        raise ImageError(f"no page {page}: it has {pages(image)}")
    if image.format != "TIFF":
        image.seek(page - 1)
        return
    at = -1
    while page:  # smaller copies are no pages
        at += 1
        image.seek(at)
        page -= not image.tag_v2.get(_REDUCED, 0) & 1  # type: ignore[attr-defined]


def is_raw(data: bytes) -> bool:
    """Tell whether it is what a camera's sensor saw (CR2, CR3, NEF, ARW, DNG, RAF and others), not a finished picture."""
    if data[:15] == b"FUJIFILMCCD-RAW" or data[:4] in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb"):
        return True
    if data[4:11] == b"ftypcrx" or (data[:4] == b"II*\0" and data[8:10] == b"CR"):
        return True
    if data[:4] not in _TIFF:
        return False
    tags = _first_tags(data)
    return _DNG_VERSION in tags or (_SUB_IMAGES in tags and _REDUCED in tags and bool(tags[_REDUCED] & 1))


def _lists_its_items(heif: bytes) -> bool:
    """Tell whether the list of a HEIF file's items can be read: each with a type in ASCII and a place.

    On others, the binding of libheif ends the whole process (pi-heif 1.4: ISO 14496-12, iinf and iloc, without either).
    """
    meta = next((box for kind, box in _boxes(heif) if kind == b"meta"), None)
    if meta is None:
        return True  # it has no items
    try:
        inside = dict(_boxes(meta[4:]))
        infos, places = inside[b"iinf"], inside[b"iloc"]
        beside = set()  # the numbers of items that are no pictures
        for _, info in _boxes(infos[6 if infos[0] == 0 else 8 :]):
            number, kind = (info[4:6], info[8:12]) if info[0] == 2 else (info[4:8], info[10:14])
            if info[0] >= 2 and (len(kind) < 4 or not kind.isascii()):
                return False
            if kind in (b"Exif", b"mime", b"uri "):
                beside.add(int.from_bytes(number, "big"))
        version = places[0]
        offset, length, base = places[4] >> 4, places[4] & 15, places[5] >> 4
        index = places[5] & 15 if version else 0
        wide = 4 if version == 2 else 2
        at = 6 + wide
        for _ in range(int.from_bytes(places[6:at], "big")):
            item = int.from_bytes(places[at : at + wide], "big")
            at += wide + (2 if version else 0) + 2 + base
            extents = int.from_bytes(places[at : at + 2], "big")
            at += 2 + extents * (index + offset + length)
            if at > len(places) or (not extents and item in beside):
                return False
    except (KeyError, IndexError):
        return False
    return True


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (type, content) of the boxes of an ISO file, as far as they can be read."""
    at = 0
    while at + 8 <= len(data):
        size, start = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end < at + start:
            return
        yield data[at + 4 : at + 8], data[at + start : end]
        at = end


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
        return "a film, not an image that can be read"
    if data[:4] in _TIFF:
        tags = _first_tags(data)
        channels, bits = tags.get(_CHANNELS, 1), tags.get(_BITS, 1)
        if channels > 4:
            return f"a TIFF of {channels} channels; an image has 1, 3 or 4"
        return f"a TIFF of a kind that cannot be read here: {channels} channels of {bits} bits"
    return "not an image that can be read"


def _first_tags(tiff: bytes) -> dict[int, int]:
    """Return tag → its first number, of the first page of a TIFF, those that are whole numbers; empty if it is damaged.

    Pillow reads all of them, and refuses the file for some; here a few are looked at.
    """
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    found: dict[int, int] = {}
    at = int.from_bytes(tiff[4:8], order)
    for entry in range(at + 2, at + 2 + 12 * int.from_bytes(tiff[at : at + 2], order), 12):
        if entry + 12 > len(tiff):
            break
        tag, kind = (int.from_bytes(tiff[entry + step : entry + step + 2], order) for step in (0, 2))
        size, count = {1: 1, 3: 2, 4: 4}.get(kind, 0), int.from_bytes(tiff[entry + 4 : entry + 8], order)
        value = entry + 8 if size * count <= 4 else int.from_bytes(tiff[entry + 8 : entry + 12], order)
        found[tag] = int.from_bytes(tiff[value : value + size], order)
    return found


@lru_cache(maxsize=1)
def _quieten_libtiff() -> None:
    """Keep libtiff from writing to the terminal about odd tags: what matters about a file is said with its name, by Mirante.

    Pillow brings libtiff as a library of its own; where it does not, nothing is done.
    """
    import ctypes
    from pathlib import Path

    import PIL

    folder = Path(PIL.__file__).parent
    for place in (folder.parent / "pillow.libs", folder / ".dylibs"):
        for library in place.glob("libtiff*"):
            try:
                loaded = ctypes.CDLL(str(library))
                loaded.TIFFSetWarningHandler(None)
                loaded.TIFFSetErrorHandler(None)
            except (OSError, AttributeError):
                pass
