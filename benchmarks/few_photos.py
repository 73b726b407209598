"""The first model from few photos: how long it takes, and how often it is wrong beside other libraries in the same seconds.

    python benchmarks/few_photos.py start [--other CHECKOUT]    seconds of the whole command for 400 photos, cold and warm
    python benchmarks/few_photos.py curve SEEDS [SIDE …]        trains every side on every set, and adds to few-photos.csv
    python benchmarks/few_photos.py table                       the table of RESULTS.md from few-photos.csv

The other checkout is an earlier version of Mirante, run by the same Python in turn. All sides of `curve` see the same images, start
from the same weights of EfficientNet-Lite0 (but for Ultralytics, which has none without a download and starts from nothing), and
train for the same seconds by their own clocks. Test images are those that no training of that seed has seen; they choose nothing.
`make docs` draws the curve.
"""

from __future__ import annotations

import csv
import functools
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
from sides import MADE, run_side, train_mirante, unpacked

ROUNDS = 3
TESTED = 100  # of each class
SETS = (  # images, how many of each class (0: all), seconds, and the size in pixels at which others see them
    *(("flowers-128", count, 60, 128) for count in (5, 10, 20, 50, 100)),
    ("cifar10-images", 50, 60, 128),
    ("chest-xray-320", 0, 120, 224),
    ("flowers-128", 0, 300, 128),
)
OTHERS = {"fastai": "fastai_photos", "AutoGluon": "autogluon_photos", "Ultralytics": "ultralytics"}
HERE = Path(__file__).parents[1] / "src"
POINTS = Path(__file__).parent / "few-photos.csv"
LITE0 = MADE / "lite0"


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


def photos_for(data: str, count: int, seed: int, folder: Path) -> Path:
    """Write train/ and test/ with class folders: `count` images of each class to train (0: all that are left), 100 to test."""
    random, out = np.random.default_rng(seed), folder / f"{data} {count} {seed}"
    if data == "cifar10-images":
        chosen = {
            split: {kind.name: sorted(kind.iterdir()) for kind in sorted((unpacked(data) / split).iterdir())}
            for split in ("train", "test")
        }
    elif data == "chest-xray-320":  # two classes, cut by patient
        with (unpacked(data) / "labels.csv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["label"] != "covid19"]
        held = set(random.permutation(sorted({row["patient"] for row in rows}))[:200])
        chosen = {split: {"no_finding": [], "pneumonia": []} for split in ("train", "test")}
        for row in rows:
            split = "test" if row["patient"] in held else "train"
            chosen[split][row["label"]].append(unpacked(data) / row["path"])
    else:
        chosen = {"train": {}, "test": {}}
        for kind in sorted(one for one in unpacked(data).iterdir() if one.is_dir()):
            files = list(random.permutation(sorted(kind.iterdir())))
            chosen["test"][kind.name], chosen["train"][kind.name] = files[-TESTED:], files[:-TESTED]
    for split, kinds in chosen.items():
        most = {"train": count or None, "test": None if data == "chest-xray-320" else TESTED}[split]
        for kind, files in kinds.items():
            (out / split / kind).mkdir(parents=True)
            for file in list(random.permutation(files))[:most] if data == "cifar10-images" else files[:most]:
                shutil.copy(file, out / split / kind)
    return out


def mirante(data: Path, seconds: int, seed: int) -> tuple[float, float]:
    words = ("--recipe", "transfer", "--time", f"{seconds}s", "--seed", str(seed))
    with tempfile.TemporaryDirectory() as name:
        accuracy, took, _, _ = train_mirante(data, *words, out=Path(name) / "run")
    return accuracy, took


def other(side: str, size: int, data: Path, seconds: int, seed: int) -> tuple[float, float]:
    weights = {"fastai_photos": LITE0 / "pytorch_model.bin", "autogluon_photos": LITE0}
    given = [str(weights[side])] if side in weights else []
    found = run_side(side, str(data), str(seconds), str(seed), str(size), *given)[-1]
    return found["accuracy"], found["seconds"]


def write_weights() -> None:
    """Write the weights of EfficientNet-Lite0 by timm's names, as a file and as AutoGluon wants them."""
    import torch

    from mirante.model.network import build_network

    LITE0.mkdir(parents=True, exist_ok=True)
    named = build_network("timm:tf_efficientnet_lite0", (224, 224, 3), (2,)).body.state_dict().items()
    torch.save(
        {key.removeprefix("body."): value for key, value in named if key.startswith("body.")},
        LITE0 / "pytorch_model.bin",
    )
    known = {"mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 224, 224], "interpolation": "bicubic"}
    described = {"architecture": "tf_efficientnet_lite0", "num_classes": 0, "num_features": 1280}
    (LITE0 / "config.json").write_text(json.dumps({**described, "pretrained_cfg": known}))


def curve(seeds: int, sides: list[str]) -> None:
    write_weights()
    done = set()
    if POINTS.exists():
        with POINTS.open(encoding="utf-8") as file:
            done = {tuple(row[name] for name in ("set", "photos", "side", "seed")) for row in csv.DictReader(file)}
    else:
        POINTS.write_text("set,photos,side,seed,cores,seconds,took,wrong\n", encoding="utf-8")
    cores = len(os.sched_getaffinity(0))
    for seed in range(seeds):
        for data, count, seconds, size in SETS:
            with tempfile.TemporaryDirectory() as name:
                images = photos_for(data, count, seed, Path(name))
                for side in sides or ["Mirante", *OTHERS]:
                    known = data, str(count or "all"), side, str(seed)
                    if known in done:
                        continue
                    ask = mirante if side == "Mirante" else functools.partial(other, OTHERS[side], size)
                    accuracy, took = ask(images, seconds, seed)
                    row = (*known, cores, seconds, f"{took:.1f}", f"{1 - accuracy:.4f}")
                    with POINTS.open("a", encoding="utf-8") as file:
                        csv.writer(file, lineterminator="\n").writerow(row)
                    print(*row, flush=True)


def results() -> None:
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    with POINTS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            point = found.setdefault((row["set"], row["photos"], f"{row['seconds']} s, {row['cores']} core(s)"), {})
            point.setdefault(row["side"], []).append(100 * float(row["wrong"]))
    sides = ["Mirante", *OTHERS]
    rows = [
        [*point, *(f"{statistics.mean(by[one]):.1f}% ({len(by[one])})" if one in by else "" for one in sides)]
        for point, by in found.items()
    ]
    table(
        "Few photos, beside other libraries: share of wrong answers, mean (seeds)",
        ["images", "a class", "time", *sides],
        rows,
    )


if __name__ == "__main__":
    verb, *words = sys.argv[1:] or ["start"]
    if verb == "start":
        start([word for word in words if word != "--other"])
    elif verb == "curve":
        curve(int(words[0]), words[1:])
    else:
        results()
