"""One process and two of torchrun on CIFAR-10, the same global batch: do the learning curves agree, and what does it cost?

python benchmarks/distributed.py        two cores: one process with two threads beside two processes with one each
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from record import record
from sides import test_data

EPOCHS = 5


def curve(data: Path, out: Path, *words: str, processes: int = 1) -> np.ndarray:
    """Train; return seconds, training loss, validation loss and validation accuracy after each epoch."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [
        *launch,
        "-m",
        "mirante",
        "train",
        data,
        "--recipe",
        "fast",
        "--epochs",
        str(EPOCHS),
        *words,
        "--out",
        out,
    ]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    lines = list(csv.DictReader((out / "history.csv").open()))
    names = ("seconds", "train_loss", "val_loss", "val_accuracy")
    return np.array([[float(line[name]) for name in names] for line in lines])


def main() -> None:
    data = test_data() / "cifar10-images.tar.xz"
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        one = curve(data, here / "one")
        two = curve(data, here / "two", processes=2)
        again = curve(data, here / "seed1", "--seed", "1")
        shown = {"one process": one, "two processes": two, "one process, another seed": again}
        lines = [
            f"| | seconds an epoch | {' | '.join(f'epoch {number + 1}' for number in range(EPOCHS))} |",
            f"|---|--:|{'--:|' * EPOCHS}",
        ]
        for name, found in shown.items():
            each = np.median(np.diff(found[:, 0]))
            cells = " | ".join(f"{loss:.3f}, {share:.1%}" for _, _, loss, share in found)
            lines.append(f"| {name} | {each:.1f} | {cells} |")
    ratio = np.median(np.diff(one[:, 0])) / np.median(np.diff(two[:, 0]))
    apart = np.abs(two[:, 2] - one[:, 2]).mean() / np.abs(again[:, 2] - one[:, 2]).mean()
    lines += [
        "",
        f"Loss and accuracy on the validation images. Two processes with one thread each took {ratio:.0%} of the speed of one "
        f"with two threads; their losses lie {apart:.2f} times as far from it as another seed's.",
    ]
    record(f"One process and two: `fast` on CIFAR-10, {EPOCHS} epochs, the same batches", lines)


if __name__ == "__main__":
    main()
