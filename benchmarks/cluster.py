"""What a Ray cluster adds: images a second with one and two workers beside one process, and how many parts the driver can hand out.

python benchmarks/cluster.py        real photos, two networks; then what a thousand million images would take
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from record import record
from sides import MADE, test_data, unpacked

from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream

ROWS, PARTS = 512, 3000


def predict(run: Path, data: Path, out: Path, *words: str) -> float:
    """Answer on the cluster; return the seconds of the whole command."""
    shutil.rmtree(out, ignore_errors=True) if "--again" not in words else None
    began = time.monotonic()
    command = [sys.executable, "-m", "mirante", "predict", run, data, "--engine", "ray", "--out", out]
    command += [word for word in words if word != "--again"]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return time.monotonic() - began


def rate(out: Path, workers: int) -> float:
    """Return images a second from the time at which each part was written, the first of each worker left out."""
    times = sorted(path.stat().st_mtime for path in out.glob("part-*.parquet"))
    return ROWS * (len(times) - 1 - workers) / (times[-2] - times[workers - 1])


def alone(run: Path, pictures: list[Path], cores: int) -> float:
    """Return images a second of so many processes that know nothing of each other, each on a core and a thread of its own."""
    with ProcessPoolExecutor(cores) as pool:
        return sum(pool.map(_alone, range(cores), [run] * cores, [pictures] * cores))


def _alone(core: int, run: Path, pictures: list[Path]) -> float:
    os.sched_setaffinity(0, {core})
    model = Model(run, 1)
    list(predict_stream(model, [(str(path), path) for path in pictures[:64]]))
    began = time.monotonic()
    for _ in predict_stream(model, [(str(path), path) for path in pictures]):
        pass
    return len(pictures) / (time.monotonic() - began)


def main() -> None:
    photos = unpacked("flowers-128")
    pictures = sorted(photos.rglob("*.jpg"))
    lines = [
        "| images a second | one process, one core | two | Ray, one worker | two | of two processes | core hours for 10⁹ images |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        twice = Path(folder) / "twice.parquet"
        pq.write_table(pa.table({"path": [str(path) for path in pictures * 2]}), twice)
        for name, words in {
            "fast, 64 px": ["fast", "--epochs", "1"],
            "transfer, 224 px": ["transfer", "--epochs", "0"],
        }.items():
            run = MADE / f"cluster-{words[0]}"
            if not run.exists():
                command = [sys.executable, "-m", "mirante", "train", test_data() / "flowers-128.tar.xz", "--recipe"]
                subprocess.run([str(word) for word in [*command, *words, "--out", run]], check=True)
            bare = [alone(run, pictures[:2000], cores) for cores in (1, 2)]
            rates = []
            for workers in (1, 2):
                predict(run, twice, out, "--rows-per-file", str(ROWS), "--workers", str(workers))
                rates.append(rate(out, workers))
            cells = [
                f"{bare[0]:.0f}",
                f"{bare[1]:.0f}",
                *(f"{found:.0f}" for found in rates),
                f"{rates[1] / bare[1]:.0%}",
            ]
            lines.append(f"| {name} | {' | '.join(cells)} | {2 * 1e9 / rates[1] / 3600:,.0f} |")
        small = Path(folder) / "small"
        small.mkdir()
        for number in range(PARTS):
            shutil.copy(pictures[number % 50], small / f"{number}.jpg")
        predict(run, small, out, "--rows-per-file", "1")
        all_there = predict(run, small, out, "--rows-per-file", "1", "--again")
        few = Path(folder) / "few"
        few.mkdir()
        shutil.copy(pictures[0], few)
        start = min(predict(run, few, Path(folder) / "o", "--rows-per-file", "1") for _ in range(2))
        handed = PARTS / (all_there - start)
    lines += [
        "",
        f"Starting takes {start:.1f} s. The driver hands out {handed:.0f} parts a second (ones that are there already) on these two "
        f"cores, which it shares with the workers: of 1,024 images each, that is {handed * 1024:,.0f} images a second at most.",
    ]
    record("A Ray cluster on one machine: workers of one core each, parts of 512 photos", lines)


if __name__ == "__main__":
    main()
