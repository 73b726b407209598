"""How fast do 60,000 small JPEGs come out of a .tar.xz into the cache, the first time and the second?

    MIRANTE_TEST_DATA=FOLDER python benchmarks/decode.py

The other side is the plainest loop over the same bytes: one process, Pillow, nothing kept.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from record import record

COUNT = 6_000


def plain_loop(archive: Path) -> float:
    """Return the images a second of tarfile and Pillow in one process, over the first COUNT images."""
    import numpy as np
    from PIL import Image

    began, count = time.perf_counter(), 0
    with tarfile.open(archive, "r|xz") as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(".jpg"):
                file = opened.extractfile(member)
                assert file is not None
                np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                count += 1
                if count == COUNT:
                    break
    return count / (time.perf_counter() - began)


def main() -> None:
    folder = os.environ.get("MIRANTE_TEST_DATA")
    if not folder:
        sys.exit("decode.py: MIRANTE_TEST_DATA does not name the folder of the image archives; nothing measured.")
    archive = Path(folder) / "cifar10-images.tar.xz"
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MIRANTE_CACHE"] = cache
        from mirante import Dataset

        plain = plain_loop(archive)
        taken = []
        for _ in range(2):
            began = time.perf_counter()
            dataset = Dataset.open(archive)
            opened = time.perf_counter()
            dataset.load((32, 32), 3, "crop")
            taken.append((opened - began, time.perf_counter() - opened))
        plain = (plain + plain_loop(archive)) / 2
    (scan, decode), (again, load) = taken
    rate = len(dataset) / (scan + decode)
    record(
        "60,000 JPEGs of 32×32 out of a .tar.xz into the cache",
        [
            f"Plain loop, one process, one pass, nothing kept: {plain:,.0f} images/s.",
            f"First time: {scan:.1f} s to read and hash, {decode:.1f} s to decode: {rate:,.0f} images/s, "
            f"{rate / plain:.2f} of the plain loop, though it reads the archive twice.",
            f"Second time: {again + load:.1f} s.",
        ],
    )


if __name__ == "__main__":
    main()
