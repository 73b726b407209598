"""When a photo was taken, and by which camera, as far as the file says."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass

from PIL import Image

from mirante.images import FORMATS

_EXIF, _ORIGINAL, _CHANGED, _MODEL = 0x8769, 0x9003, 0x0132, 0x0110  # tags of EXIF 2.32


@dataclass(frozen=True)
class Exif:
    """The camera's own time, of no known zone, and its model; None where the file does not say."""

    taken: datetime.datetime | None = None
    camera: str | None = None


def read_exif(content: bytes) -> Exif:
    """Return what the file says about itself; a file that says nothing, or nonsense, yields nothing."""
    if b"Exif\0" not in content[:65536] and content[:3] == b"\xff\xd8\xff":
        return Exif()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            exif = image.getexif()
            text = exif.get_ifd(_EXIF).get(_ORIGINAL) or exif.get(_CHANGED) or ""
            camera = str(exif.get(_MODEL) or "").strip("\0 ") or None
    except Exception:  # a damaged EXIF block has many ways to fail, and says nothing
        return Exif()
    try:
        return Exif(datetime.datetime.strptime(str(text).strip("\0 ")[:19], "%Y:%m:%d %H:%M:%S"), camera)
    except ValueError:
        return Exif(None, camera)
