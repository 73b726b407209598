"""When a photo was taken, and by which camera, as far as the file says."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from mirante.formats import open_image
from mirante.images import has_exif

_EXIF, _ORIGINAL, _DIGITIZED, _CHANGED, _MODEL = 0x8769, 0x9003, 0x9004, 0x0132, 0x0110  # tags of EXIF 2.32


@dataclass(frozen=True)
class Exif:
    """The camera's own time, of no known zone, and its model; None where the file does not say."""

    taken: datetime.datetime | None = None
    camera: str | None = None


def read_exif(content: bytes) -> Exif:
    """Return what the file says about itself; a file that says nothing, or nonsense, yields nothing."""
    if content[:3] == b"\xff\xd8\xff" and not has_exif(content):
        return Exif()
    try:
        with open_image(content) as image:
            exif = image.getexif()
            own = exif.get_ifd(_EXIF)
            texts = (own.get(_ORIGINAL), own.get(_DIGITIZED), exif.get(_CHANGED))
            camera = str(exif.get(_MODEL) or "").strip("\0 ") or None
    except Exception:  # a damaged EXIF block has many ways to fail, and says nothing
        return Exif()
    return Exif(next(filter(None, map(_time_of, texts)), None), camera)


def _time_of(text: object) -> datetime.datetime | None:
    """Read an EXIF time; None for one that is blank, zero or no time."""
    try:
        return datetime.datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
