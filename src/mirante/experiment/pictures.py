"""Small pictures of a data set's images, for pages that stand by themselves."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection

from PIL import Image

from mirante.data.dataset import Dataset
from mirante.errors import ImageError
from mirante.images import read_image
from mirante.resize import Fit

SIDE = 112  # pixels


def small_pictures(dataset: Dataset, paths: Collection[str], fit: Fit = "pad") -> dict[str, str]:
    """Return base64 JPEGs of SIDE × SIDE pixels, by path, of those of these images that can be read."""
    found = {}
    for entry in dataset.source.entries() if paths else ():
        if entry.path not in paths or entry.error is not None:
            continue
        try:
            pixels = read_image(entry.content(), (SIDE, SIDE), 3, fit, dataset.rendering)
        except ImageError:
            continue
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
        found[entry.path] = base64.b64encode(buffer.getvalue()).decode("ascii")
    return found
