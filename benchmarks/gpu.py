"""On a GPU: `fast` against airbench94_muon and hiverge's cifar10_speedrun, on the same images and the same card.

    python benchmarks/gpu.py cifar10-images.tar.xz [--records FOLDER …] [--seconds S …]

Each FOLDER holds one record's own program, run as it is but for the number of runs, on the same pixels: it reads its data from
`cifar10/train.pt` and `cifar10/test.pt` in the folder it runs in, and this script writes those there. Without any only
Mirante is measured. The first run of each, which compiles, is not counted.
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

RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--records", type=Path, nargs="*", default=[])
    parser.add_argument("--seconds", nargs="*", default=["4", "8", "16"])
    arguments = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("No GPU that torch can use; nothing was measured.")
    card = torch.cuda.get_device_name()
    lines = [f"{card}. Accuracy on the test images and training seconds, median of {RUNS} seeds.", ""]
    lines += ["| | accuracy | seconds |", "|---|---|---|"]
    for folder in arguments.records:
        export(arguments.data, folder / "cifar10")
        (program,) = folder.glob("*.py")
        lines.append(row(program.name, of_record(program)))
        print(lines[-1], flush=True)
    mirante(arguments.data, "4", 0)
    for budget in arguments.seconds:
        lines.append(
            row(f"Mirante `fast`, `--time {budget}s`", [mirante(arguments.data, budget, seed) for seed in range(RUNS)])
        )
        print(lines[-1], flush=True)
    record(f"GPU: {card}", lines)


def mirante(data: str, budget: str, seed: int) -> tuple[float, float]:
    """Return (accuracy, training seconds) of one run."""
    import mirante

    options = {"time": f"{budget}s", "seed": seed, "val_share": 0.0}
    run = mirante.train(data, "fast", device="cuda", out="runs/gpu-fast", overwrite=True, **options)
    return run.metrics.accuracy.value, run.history[-1].seconds


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


def of_record(program: Path) -> list[tuple[float, float]]:
    """Return the runs of a program, whose last table column is the seconds and the one before it the accuracy."""
    began = time.monotonic()
    code = program.read_text().replace("range(200)", f"range({RUNS})")
    fewer = program.with_name(f"few_{program.name}.txt")
    fewer.write_text(code)
    done = subprocess.run([sys.executable, fewer.name], cwd=program.parent, capture_output=True, text=True, check=False)
    print(
        done.stdout[-2500:],
        done.stderr[-800:],
        f"\n{program.name}: {time.monotonic() - began:.0f} s in all",
        flush=True,
    )
    found = re.findall(r"(0\.\d{4})\s*\|\s*(\d+\.\d+)\s*\|\s*$", done.stdout, re.MULTILINE)
    return [(float(accuracy), float(seconds)) for accuracy, seconds in found][-RUNS:]


def row(name: str, found: list[tuple[float, float]]) -> str:
    if not found:
        return f"| {name} | did not run | |"
    accuracies, seconds = zip(*found, strict=True)
    return f"| {name} | {statistics.mean(accuracies):.2%} | {statistics.median(seconds):.1f} |"


if __name__ == "__main__":
    main()
