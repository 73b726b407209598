"""RAW photos of cameras: the preview that the camera put into the file, which is a finished picture.

rawpy reads it (pip install 'mirante[raw]'). What the sensor saw is not developed: each program would do it in another way.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante.errors import ImageError

_ONE_AT_A_TIME = threading.Lock()

_TURNED = {3: Image.Transpose.ROTATE_180, 5: Image.Transpose.ROTATE_90, 6: Image.Transpose.ROTATE_270}


@contextmanager
def _silent() -> Iterator[None]:
    """Keep LibRaw's decoders from writing to the terminal: what matters about a file is said with its name."""
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def preview(data: bytes) -> Image.Image:
    """Return the preview of a RAW photo, upright. Raises ImageError when there is none, or rawpy is missing."""
    try:
        import rawpy
    except ImportError:
        raise ImageError("a RAW photo of a camera; run pip install 'mirante[raw]' and try again") from None
    try:
        with _silent(), rawpy.imread(io.BytesIO(data)) as opened:
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
