"""What a log costs: images answered in a second with one, as a share of those without; both sides in turn, in one run.

python benchmarks/log.py RUN FOLDER_OF_IMAGES [--side 2000]

--side enlarges a tenth of the images to so many pixels first: as large as those of cameras.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

from PIL import Image

from mirante.data.sources import images_of
from mirante.monitoring.recorder import Recorder
from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream

_IMAGES, _ROUNDS = 4000, 9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--side", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = enlarged(asked.folder, Path(made), asked.side) if asked.side else asked.folder
        measure(asked.run, folder, _IMAGES // 10 if asked.side else _IMAGES)


def enlarged(folder: str, made: Path, side: int) -> str:
    """Write a tenth of the images, `side` pixels square, as JPEG files."""
    for number, entry in enumerate(islice(images_of([folder]), 0, _IMAGES, 10)):
        image = Image.open(io.BytesIO(entry.content())).convert("RGB")
        image.resize((side, side), Image.Resampling.BICUBIC).save(made / f"{number:04}.jpg", quality=90)
    return str(made)


def measure(run: str, folder: str, count: int) -> None:
    plain, watched = Model(run), Model(run, features=True)
    ratios = []
    for number in range(_ROUNDS + 1):
        seconds = {}
        for side in ("plain", "log") if number % 2 else ("log", "plain"):
            entries = islice(images_of([folder]), count)
            with tempfile.TemporaryDirectory() as log:
                recorder = Recorder(watched, log, 1000) if side == "log" else None
                begun = time.perf_counter()
                answers = predict_stream(plain, entries) if recorder is None else recorder.predict_stream(entries, None)
                answered = sum(1 for _ in answers)
                if recorder is not None:
                    recorder.close()
                seconds[side] = (time.perf_counter() - begun) / answered
        if number:  # the first round fills the system's cache
            ratios.append(seconds["plain"] / seconds["log"])
            print(
                f"{1 / seconds['plain']:.1f} images a second without a log, {1 / seconds['log']:.1f} with one",
                flush=True,
            )
    print(
        f"with a log: {statistics.median(ratios):.1%} of the images (of {_ROUNDS}: {min(ratios):.1%} to {max(ratios):.1%})"
    )


if __name__ == "__main__":
    main()
