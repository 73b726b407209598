"""How many images a network is given at once: images in a second and memory taken, each number in a process of its own.

python benchmarks/parts.py RUN
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from mirante.onnx_session import parts_of
from mirante.prediction.onnx_model import OnnxModel

_NUMBERS = (64, 32, 16, 8, 4, 1)
_SECONDS = 6


def main() -> None:
    run, *asked = sys.argv[1:]
    if asked:
        print(measured(run, int(asked[0])))
        return
    print("| images at once | a second | MB |\n|--:|--:|--:|")
    for number in _NUMBERS:
        print(
            subprocess.run(
                [sys.executable, __file__, run, str(number)], capture_output=True, text=True, check=True
            ).stdout,
            end="",
        )
    model = OnnxModel(run)
    print(f"\nMirante gives it {parts_of(64, model.info.size)[0].stop} at once.")


def measured(run: str, number: int) -> str:
    """Return a row of the table."""
    model = OnnxModel(run)
    shape = (number, *model.info.size, model.info.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    session = model._session  # run() itself would cut them into parts
    names = [one.name for one in session.get_outputs()]
    before, _ = memory(), session.run(names, {"images": images})
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        session.run(names, {"images": images})
        done += number
    seconds = time.perf_counter() - began
    return f"| {number} | {done / seconds:.0f} | {memory() - before} |"


def memory() -> int:
    """Return the megabytes that this process holds."""
    with open("/proc/self/status") as status:  # noqa: PTH123
        return next(int(line.split()[1]) // 1024 for line in status if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
