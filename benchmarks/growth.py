"""How the cost of training grows: time and peak memory with 5,000 to 50,000 images, and with two trainings at once.

python benchmarks/growth.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from record import record
from sides import cifar10_arrays


def train(data: Path, out: Path, **environment: str) -> subprocess.Popen[bytes]:
    words = ["train", str(data), "--recipe", "fast", "--epochs", "2", "--out", str(out), "--overwrite"]
    return subprocess.Popen(
        [sys.executable, "-m", "mirante", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def cost(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Wait; return seconds and peak memory in MiB."""
    began = time.monotonic()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return time.monotonic() - began, usage.ru_maxrss / 1024


def main() -> None:
    ordered = np.load(cifar10_arrays())
    arrays = {}
    for split in ("train", "test"):  # they lie class by class
        order = np.random.default_rng(0).permutation(len(ordered[f"y_{split}"]))
        arrays |= {f"{kind}_{split}": ordered[f"{kind}_{split}"][order] for kind in "xy"}
    lines = [
        "| images | whole command | training alone | a thousand images trained once | peak memory |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for count in (5_000, 10_000, 20_000, 50_000):
            data = place / f"{count}.npz"
            np.savez(
                data,
                x_train=arrays["x_train"][:count],
                y_train=arrays["y_train"][:count],
                x_test=arrays["x_test"][: count // 5],
                y_test=arrays["y_test"][: count // 5],
            )
            seconds, memory = cost(train(data, place / "run"))
            alone = float((place / "run" / "history.csv").read_text().splitlines()[-1].split(",")[2])
            lines.append(
                f"| {count:,} | {seconds:.1f} s | {alone:.1f} s | {alone / count / 2 * 1000:.2f} s | {memory:,.0f} MiB |"
            )
        data = place / "20000.npz"
        single, _ = cost(train(data, place / "run"))
        for name, environment in (("as they come", {}), ("one thread each", {"OMP_NUM_THREADS": "1"})):
            began = time.monotonic()
            for process in [train(data, place / f"run{number}", **environment) for number in (1, 2)]:
                process.wait()
            both = time.monotonic() - began
            lines.append(
                f"\nTwo trainings of 20,000 at once, {name}: {both:.0f} s; one after the other {2 * single:.0f} s."
            )
    record("How the cost of training grows (two epochs of `fast`)", lines)


if __name__ == "__main__":
    main()
