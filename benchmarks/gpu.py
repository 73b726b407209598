"""On a GPU: `fast` and `best` against airbench94_muon and airbench96, on the same images and the same card.

    python benchmarks/gpu.py cifar10-images.tar.xz [--airbench FOLDER]

FOLDER holds a checkout of the records' own programs, which are run as they are, on the same pixels: each reads its data from
`cifar10/train.pt` and `cifar10/test.pt` in the folder it runs in, and this script writes those there. Without it only
Mirante is measured. Each side runs five times; the first run of each, which compiles, is not counted.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from record import record

RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--airbench", type=Path)
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("No GPU that torch can use; nothing was measured.")
    card = torch.cuda.get_device_name()
    lines = [f"{card}. Accuracy on the test images and training seconds, median of {RUNS} seeds.", ""]
    lines += ["| | accuracy | seconds |", "|---|---|---|"]
    for name, seconds in (("fast", ("4s", "8s", "16s")), ("best", ("120s", "540s"))):
        for budget in seconds:
            found = [mirante(arguments.data, name, budget, seed) for seed in range(RUNS + 1)][1:]
            lines.append(row(f"Mirante `{name}`, `--time {budget}`", found))
    if arguments.airbench:
        export(arguments.data, arguments.airbench / "cifar10")
        for program in ("airbench94_muon.py", "airbench96_faster.py"):
            lines.append(row(program, airbench(arguments.airbench, program)))
    record(f"GPU: {card}", lines)


def mirante(data: str, recipe: str, budget: str, seed: int) -> tuple[float, float]:
    """Return (accuracy, training seconds) of one run."""
    import mirante

    changes = {"seconds": float(budget.rstrip("s")), "seed": seed, "val_share": 0.0}
    run = mirante.train(data, recipe, changes=changes, device="cuda", out=f"runs/gpu-{recipe}", overwrite=True)
    history = (run.path / "history.csv").read_text().splitlines()
    return run.accuracy, float(history[-1].split(",")[2])


def export(data: str, folder: Path) -> None:
    """Write the pixels as the records' programs read them."""
    import torch

    from mirante import Dataset

    dataset, pixels = Dataset.open(data, val_share=0.0).load((32, 32), 3, "crop")
    folder.mkdir(exist_ok=True)
    for split in ("train", "test"):
        rows = dataset.rows(split)
        images, labels = torch.from_numpy(pixels[rows]), torch.from_numpy(dataset.targets[rows])
        torch.save({"images": images, "labels": labels, "classes": list(dataset.classes)}, folder / f"{split}.pt")


def airbench(folder: Path, program: str) -> list[tuple[float, float]]:
    """Return the runs of a program, whose last table column is the seconds and the one before it the accuracy."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, program], cwd=folder, capture_output=True, text=True, check=True)
    print(done.stdout[-2000:], f"\n{program}: {time.monotonic() - began:.0f} s in all")
    found = re.findall(r"(0\.\d{4})\s*\|\s*(\d+\.\d+)\s*\|\s*$", done.stdout, re.MULTILINE)
    return [(float(accuracy), float(seconds)) for accuracy, seconds in found][-RUNS:]


def row(name: str, found: list[tuple[float, float]]) -> str:
    accuracies, seconds = zip(*found, strict=True)
    return f"| {name} | {statistics.mean(accuracies):.2%} | {statistics.median(seconds):.1f} |"


if __name__ == "__main__":
    main()
