"""What a log costs: images answered in a second with one, as a share of those without; both sides in turn, in one run.

python benchmarks/log.py RUN FOLDER_OF_IMAGES
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from itertools import islice

from mirante.data.sources import images_of
from mirante.monitoring.recorder import Recorder
from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream

_IMAGES, _ROUNDS = 4000, 9


def main() -> None:
    run, folder = sys.argv[1:3]
    plain, watched = Model(run), Model(run, features=True)
    ratios = []
    for number in range(_ROUNDS + 1):
        seconds = {}
        for side in ("plain", "log") if number % 2 else ("log", "plain"):
            entries = islice(images_of([folder]), _IMAGES)
            with tempfile.TemporaryDirectory() as log:
                recorder = Recorder(watched, log, 1000) if side == "log" else None
                begun = time.perf_counter()
                answers = predict_stream(plain, entries) if recorder is None else recorder.predict_stream(entries, None)
                count = sum(1 for _ in answers)
                if recorder is not None:
                    recorder.close()
                seconds[side] = (time.perf_counter() - begun) / count
        if number:  # the first round fills the system's cache
            ratios.append(seconds["plain"] / seconds["log"])
            print(
                f"{1 / seconds['plain']:.0f} images a second without a log, {1 / seconds['log']:.0f} with one",
                flush=True,
            )
    print(
        f"with a log: {statistics.median(ratios):.1%} of the images (of {_ROUNDS}: {min(ratios):.1%} to {max(ratios):.1%})"
    )


if __name__ == "__main__":
    main()
