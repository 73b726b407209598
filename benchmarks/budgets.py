"""Accuracy for the time: `fast` with `--time` of 15 seconds to ten minutes, on CIFAR-10; and what other libraries reach.

    python benchmarks/budgets.py mirante [SEEDS]     the table of RESULTS.md, and the points of the README's plot
    python benchmarks/budgets.py others [SIDE …]     Ultralytics for five minutes, fastai for one epoch, Keras for ten

Points are added to accuracy-for-time.csv; `make docs` draws it.
"""

from __future__ import annotations

import csv
import statistics
import sys
from pathlib import Path

from record import record
from sides import cifar10_arrays, run_side, test_data, train_mirante, unpacked

POINTS = Path(__file__).parent / "accuracy-for-time.csv"
BUDGETS = (15, 30, 60, 120, 300, 600)
LONG = 120  # seconds from which on one seed has to do


def mirante(seeds: int) -> None:
    data = test_data() / "cifar10-images.tar.xz"
    train_mirante(data, "--recipe", "fast", "--time", "2s")  # decodes the images, once
    lines = [
        "| `--time` | took | test accuracy, mean | lowest | highest | seeds | layers |",
        "|---|---|---|---|---|---|---|",
    ]
    for budget in BUDGETS:
        count = seeds if budget < LONG else 1
        found = [
            train_mirante(data, "--recipe", "fast", "--time", f"{budget}s", "--seed", str(seed))
            for seed in range(count)
        ]
        accuracies, took = [one[0] for one in found], [one[1] for one in found]
        lines.append(
            f"| {budget} s | {min(took):.1f} to {max(took):.1f} s | {statistics.mean(accuracies):.1%} | "
            f"{min(accuracies):.1%} | {max(accuracies):.1%} | {count} | `{found[-1][3]}` |"
        )
        keep("Mirante", [(statistics.mean(took), statistics.mean(accuracies))])
    record("Accuracy for the time: CIFAR-10 (JPEG copy), `fast`", lines)


def others(chosen: list[str]) -> None:
    folder = str(unpacked("cifar10-images"))
    lines = ["| | seconds: test accuracy |", "|---|---|"]
    sides = {
        "keras": ("Keras, the tutorial's CNN", (str(cifar10_arrays()), "10", "0")),
        "ultralytics": ("Ultralytics yolov8n-cls, from nothing", (folder, "300")),
        "fastai": ("fastai xresnet18, from nothing", (folder, "1")),
    }
    for side in chosen or sides:
        name, words = sides[side]
        points = [(line["seconds"], line["accuracy"]) for line in run_side(side, *words)]
        keep(name, points)
        lines.append(f"| {name} | {', '.join(f'{seconds:.0f}: {accuracy:.1%}' for seconds, accuracy in points)} |")
    record("Accuracy for the time: other libraries on the same images", lines)


def keep(name: str, points: list[tuple[float, float]]) -> None:
    """Add points to the plot's table."""
    new = not POINTS.exists()
    with POINTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(["side", "seconds", "accuracy"])
        writer.writerows([name, f"{seconds:.1f}", f"{accuracy:.4f}"] for seconds, accuracy in points)


if __name__ == "__main__":
    if sys.argv[1:2] == ["others"]:
        others(sys.argv[2:])
    else:
        mirante(int(sys.argv[2]) if len(sys.argv) > 2 else 5)
