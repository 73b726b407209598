"""What a colour profile costs: a photo of 12 megapixels with and without one, brought to 224 pixels.

python benchmarks/colour.py
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from record import record

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def main() -> None:
    from profiles import display_p3

    from mirante.images import read_image

    small = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    photo = Image.fromarray(small).resize((4032, 3024), Image.Resampling.BICUBIC)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    contents = {}
    for name, profile in (("no profile", None), ("sRGB", srgb), ("Display P3", display_p3())):
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=90, icc_profile=profile)
        contents[name] = buffer.getvalue()
    times: dict[str, list[float]] = {name: [] for name in contents}
    for _ in range(9):  # in turn, so that noise meets all alike
        for name, content in contents.items():
            began = time.perf_counter()
            read_image(content, (224, 224))
            times[name].append(time.perf_counter() - began)
    plain = float(np.median(times["no profile"]))
    lines = ["| a JPEG of 12 megapixels | ms | ratio |", "|---|--:|--:|"]
    lines += [f"| {name} | {1000 * np.median(one):.0f} | {np.median(one) / plain:.2f} |" for name, one in times.items()]
    record("Colour profiles", lines)


if __name__ == "__main__":
    main()
