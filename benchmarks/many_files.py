"""How long a folder of very many images takes to open: the first time, when each is read, and again, when none has changed.

python benchmarks/many_files.py [--images 1000000]

The images are tiny PNG files in class folders of 5,000, so that what is measured is the number of files.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

_A_CLASS = 5_000
_OPEN = """
import sys, time, resource
from mirante import Dataset
began = time.perf_counter()
dataset = Dataset.open(sys.argv[1])
took = time.perf_counter() - began
print(len(dataset), took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "images"
        begun, chance = time.perf_counter(), np.random.default_rng(0)
        for number in range(count):
            place = folder / f"class {number // _A_CLASS:03}"
            if number % _A_CLASS == 0:
                place.mkdir(parents=True)
            buffer = io.BytesIO()
            Image.fromarray(chance.integers(0, 256, (4, 4), np.uint8)).save(buffer, "PNG", compress_level=1)
            (place / f"{number:07}.png").write_bytes(buffer.getvalue())
        print(f"{count:,} images written in {time.perf_counter() - begun:.0f} s", flush=True)
        for what in ("first", "second", "third"):
            words = [sys.executable, "-c", _OPEN, str(folder)]
            environment = {**os.environ, "MIRANTE_CACHE": str(Path(made) / "cache")}
            found = subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.split()
            print(
                f"{what} time: {int(found[0]):,} images in {float(found[1]):.1f} s, {float(found[2]):,.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
