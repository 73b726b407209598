"""RAW photos of cameras: the preview that the camera put into the file, which is a finished picture.

rawpy reads it (pip install 'mirante[raw]'). What the sensor saw is not developed: each program would do it in another way.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante.errors import ImageError

_TURNED = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}


def preview(data: bytes) -> Image.Image:
    """Return the preview of a RAW photo, upright. Raises ImageError when there is none, or rawpy is missing."""
    try:
        import rawpy
    except ImportError:
        raise ImageError("a RAW photo of a camera; run pip install 'mirante[raw]' and try again") from None
    try:
        with rawpy.imread(io.BytesIO(data)) as opened:
            turn = _TURNED.get(opened.sizes.flip)
            found = opened.extract_thumb()
        held: bytes | NDArray[np.uint8] = found.data
        image = (
            Image.fromarray(held) if isinstance(held, np.ndarray) else Image.open(io.BytesIO(held), formats=("JPEG",))
        )
    except rawpy.LibRawError as error:
        raise ImageError("a RAW photo of a camera without a preview that can be read") from error
    if turn is not None and image.getexif().get(0x0112, 1) == 1:  # some previews say themselves how they are turned
        image = image.transpose(turn)
    image.format = "RAW"
    return image
