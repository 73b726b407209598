"""Colour profiles: what the numbers of an image mean as colours, brought to sRGB, the colours of screens and of most images.

LittleCMS, which is part of Pillow, does it. An image without a profile is taken for sRGB.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from PIL import Image, ImageCms

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def transform_of(profile: bytes | None, mode: str) -> Any | None:
    """Return what brings an image of this mode and profile to sRGB; None if it is sRGB already or the profile is of no use."""
    if mode == "LAB":
        return _from_lab()
    return _transform(profile, mode) if profile else None


def to_srgb(image: Image.Image, transform: Any) -> Image.Image:
    """Return the image in sRGB, RGB."""
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None  # it is None only in place
    return shown


@lru_cache(maxsize=64)  # photos of one camera share a profile
def _transform(profile: bytes, mode: str) -> Any | None:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(opened.profile.xcolor_space)
        known = f"{opened.profile.profile_description or ''} {opened.profile.model or ''}"
        if _SPACES.get(space) != mode or (mode == "RGB" and "srgb" in known.lower()):
            return None
        return ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception:  # a damaged profile says nothing about the pixels
        return None


@lru_cache(maxsize=1)
def _from_lab() -> Any:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
