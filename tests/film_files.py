"""Films for the tests, made by script: stretches of still pictures, in real containers and codecs."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_film(
    path: Path,
    stretches: Sequence[tuple[NDArray[np.uint8], float]],
    rate: int = 10,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    vary: bool = False,
    noise: int = 4,
) -> list[float]:
    """Write pictures (height, width, 3), each shown for so many seconds; return where each begins.

    vary   frames last for a changing time: a variable frame rate
    noise  how much the frames of a stretch differ from each other
    """
    import av

    chance = np.random.default_rng(0)
    begins, time = [], 0.0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        height, width = stretches[0][0].shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 2 * rate
        for picture, seconds in stretches:
            begins.append(time)
            end = time + seconds
            while time < end - 1e-6:
                moved = picture.astype(np.int64) + chance.integers(-noise, noise + 1, (height, width, 1))
                frame = av.VideoFrame.from_ndarray(np.clip(moved, 0, 255).astype(np.uint8), format="rgb24")
                frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
                container.mux(stream.encode(frame))
                time = min(time + (chance.uniform(0.4, 1.8) if vary else 1) / rate, end)
        container.mux(stream.encode(None))
    return begins


def turn(path: Path, quarter_turns: int) -> None:
    """Write into an .mp4 that a player must turn it clockwise, as a phone does."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns % 4]
    one, unit = 1 << 16, 1 << 30
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, unit)
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
