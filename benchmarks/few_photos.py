"""The first model from few photos: how long it takes, and what each way of training on flowers is worth.

    python benchmarks/few_photos.py start [--other CHECKOUT]    seconds of the whole command for 400 photos, cold and warm
    python benchmarks/few_photos.py curve [SECONDS …]           mistakes by photos a class: the last layer, and tuned for so long

The other checkout is an earlier version of Mirante, run by the same Python in turn. Test photos are 200 of each class that no
training of that seed has seen; they choose nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from record import record
from sides import unpacked

from mirante.run import Run

ROUNDS, SEEDS = 3, 3
COUNTS = (5, 10, 20, 50, 100, 0)  # 0: all
HERE = Path(__file__).parents[1] / "src"


def photos(folder: Path) -> Path:
    """Write 400 photos of 640 × 480 pixels, 80 of each flower."""
    for kind in sorted(one for one in unpacked("flowers-128").iterdir() if one.is_dir()):
        (folder / kind.name).mkdir(parents=True)
        for file in sorted(kind.iterdir())[:80]:
            large = Image.open(file).convert("RGB").resize((640, 480), Image.Resampling.BICUBIC)
            large.save(folder / kind.name / f"{file.stem}.jpg", quality=90)
    return folder


def seconds(source: Path, data: Path, cache: Path, out: Path) -> float:
    """Return how long `mirante train` takes, from the command to its last line."""
    environment = {**os.environ, "PYTHONPATH": str(source), "MIRANTE_CACHE": str(cache)}
    words = [sys.executable, "-m", "mirante", "train", str(data), "--out", str(out), "--overwrite", "--quiet"]
    began = time.monotonic()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def start(others: list[str]) -> None:
    sides = {"this version": HERE} | {f"the other ({Path(one).name})": Path(one) / "src" for one in others}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = photos(folder / "photos")
        took: dict[str, tuple[list[float], list[float]]] = {side: ([], []) for side in sides}
        for _ in range(ROUNDS):
            for side, source in sides.items():
                shutil.rmtree(folder / "cache", ignore_errors=True)
                for times in took[side]:  # first cold, then warm
                    times.append(seconds(source, data, folder / "cache", folder / "run"))
    rows = [
        [side, *(f"{statistics.median(times):.1f} ({min(times):.1f} – {max(times):.1f})" for times in both)]
        for side, both in took.items()
    ]
    table("The first model from 400 photos: seconds of the whole command", ["", "empty cache", "again"], rows)


def table(title: str, heads: list[str], rows: list[list[str]]) -> None:
    record(title, [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)])


def mistakes(count: int, seed: int, limit: str, folder: Path) -> float:
    """Return the share of wrong answers of a training on so many photos a class."""
    random, data = np.random.default_rng(seed), folder / f"{count}-{seed}"
    if not data.exists():
        for kind in sorted(one for one in unpacked("flowers-128").iterdir() if one.is_dir()):
            files = random.permutation(sorted(kind.iterdir()))
            rest = files[:-200]
            for split, some in (("test", files[-200:]), ("train", rest[:count] if count else rest)):
                (data / split / kind.name).mkdir(parents=True)
                for file in some:
                    shutil.copy(file, data / split / kind.name)
    words = ["--time", limit] if limit else []
    out = folder / "run"
    command = [sys.executable, "-m", "mirante", "train", str(data), "--recipe", "transfer", "--seed", str(seed), *words]
    subprocess.run([*command, "--out", str(out), "--overwrite", "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return 1 - json.loads((Run(out).path / "metrics.json").read_text())["accuracy"]["value"]


def curve(limits: list[str]) -> None:
    ways = ["", *limits]
    with tempfile.TemporaryDirectory() as name:
        rows = []
        for count in COUNTS:
            found = [[mistakes(count, seed, limit, Path(name)) for seed in range(SEEDS)] for limit in ways]
            rows.append([str(count or "all"), *(f"{100 * statistics.mean(one):.1f}%" for one in found)])
            print(rows[-1], flush=True)
    heads = ["photos a class", "last layer alone", *(f"tuned, {limit}" for limit in limits)]
    table(f"Flowers from few photos: share of wrong answers, means of {SEEDS} seeds", heads, rows)


if __name__ == "__main__":
    verb, *words = sys.argv[1:] or ["start"]
    start([word for word in words if word != "--other"]) if verb == "start" else curve(words)
