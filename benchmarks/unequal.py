"""Classes of very unequal size: trained as they come, with an evened-out loss, and answered with weights of several strengths.

MIRANTE_TEST_DATA=… python benchmarks/unequal.py [flowers|cifar10]…
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from record import record
from sides import unpacked

Loss = Callable[..., torch.Tensor]

# name of the archive, images of the largest class, how many times the smallest, held-out images a class, how it is trained
SETS: dict[str, tuple[str, int, int, int, dict[str, Any]]] = {
    "flowers": (
        "flowers-128",
        500,
        20,
        200,
        {"recipe": "transfer", "changes": {"max_size": 160, "min_size": 160}},
    ),
    "cifar10": (
        "cifar10-images",
        5000,
        50,
        1000,
        {"recipe": "fast", "changes": {"layers": "W2-32B-64B-128B-GMP", "epochs": 10}},
    ),
}


def main() -> None:
    for name in sys.argv[1:] or SETS:
        with tempfile.TemporaryDirectory() as folder:
            record(f"Classes of unequal size: {name}", list(measure(name, Path(folder))))


def measure(name: str, folder: Path) -> Iterator[str]:
    import mirante
    from mirante.training import engine, head

    archive, largest, ratio, held, how = SETS[name]
    classes, counts = write_table(unpacked(archive), folder / "table.csv", largest, ratio, held)
    shares = counts / counts.sum()
    yield f"{counts.sum():,} training images, from {counts.max():,} down to {counts.min()} a class; tested on {held} of each."
    yield ""
    yield "| trained | answered | balanced accuracy | accuracy at the frequencies of the training | class found least |"
    yield "|---|---|--:|--:|--:|"
    for trained, loss in losses(torch.tensor(shares, dtype=torch.float32)).items():
        stand_in = SimpleNamespace(**{**vars(F), "cross_entropy": loss})
        engine.F = head.F = stand_in  # type: ignore[assignment]
        run = mirante.train(folder / "table.csv", out=folder / trained, root=unpacked(archive), **how)
        probabilities, labels = read_answers(run.path, classes)
        for answered, strength in (("most probable", 0.0), ("weights ^1/2", 0.5), ("weights ^1", 1.0)):
            answers = (probabilities / shares**strength).argmax(axis=1)
            recalls = np.array([(answers[labels == one] == one).mean() for one in range(len(classes))])
            figures = f"{recalls.mean():.1%} | {(recalls * shares).sum():.1%} | {recalls.min():.1%}"
            yield f"| {trained} | {answered} | {figures} |"
    engine.F = head.F = F


def losses(shares: torch.Tensor) -> dict[str, Loss]:
    """Return ways of training → loss; those that even out do so only while gradients are wanted."""

    def adjusted(logits: torch.Tensor, labels: torch.Tensor, **options: Any) -> torch.Tensor:
        return F.cross_entropy(logits + shares.log() if torch.is_grad_enabled() else logits, labels, **options)

    def weighted(logits: torch.Tensor, labels: torch.Tensor, **options: Any) -> torch.Tensor:
        weight = 1 / (len(shares) * shares) if torch.is_grad_enabled() else None
        return F.cross_entropy(logits, labels, weight=weight, **options)

    return {"as they come": F.cross_entropy, "logits adjusted": adjusted, "classes weighted": weighted}


def write_table(images: Path, table: Path, largest: int, ratio: int, held: int) -> tuple[list[str], np.ndarray]:
    """Write a table in which each class has fewer training images than the one before; return the classes and the counts."""
    random, rows, counts = np.random.default_rng(0), [], []
    given = (images / "train").is_dir()
    classes = sorted(path.name for path in (images / "train" if given else images).iterdir() if path.is_dir())
    for number, name in enumerate(classes):
        files = sorted((images / "train" / name if given else images / name).iterdir())
        files = [files[place] for place in random.permutation(len(files))]
        tested = sorted((images / "test" / name).iterdir())[:held] if given else files[:held]
        kept = (files if given else files[held:])[: round(largest * ratio ** (-number / (len(classes) - 1)))]
        watched = max(2, len(kept) // 10)
        rows += [(path, name, "val" if place < watched else "train") for place, path in enumerate(kept)]
        rows += [(path, name, "test") for path in tested]
        counts.append(len(kept) - watched)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows((path.relative_to(images).as_posix(), name, split) for path, name, split in rows)
    return classes, np.array(counts)


def read_answers(run: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert json.loads((run / "model.json").read_text())["classes"] == classes
    return np.array([[float(row[name]) for name in classes] for row in rows]), np.array(
        [classes.index(row["label"]) for row in rows]
    )


if __name__ == "__main__":
    main()
