"""Losses for classes with an order, on the same features: which tells grades best, and with the best probabilities.

MIRANTE_TEST_DATA=… python benchmarks/grades.py [age|quality|networks]…

age      chest X-rays by the age of the person, in five grades, folds by person
quality  flowers, each saved as a JPEG of one of five qualities
networks the same qualities, small networks trained from nothing with three losses, three seeds each
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from record import record
from sides import unpacked
from torch import Tensor

STRENGTHS = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
AGES = ((40, "under 40"), (50, "40s"), (60, "50s"), (70, "60s"), (200, "70 and over"))
QUALITIES = (("q95", 95), ("q60", 60), ("q35", 35), ("q20", 20), ("q10", 10))
FOLDS = 5


def main() -> None:
    for name in sys.argv[1:] or ("age", "quality"):
        with tempfile.TemporaryDirectory() as folder:
            measured = networks if name == "networks" else partial(measure, name)
            record(f"Losses for grades: {name}", list(measured(Path(folder))))


def measure(name: str, folder: Path) -> Iterator[str]:
    features, labels, units, grades = (write_ages if name == "age" else write_qualities)(folder)
    folds = fold_of(units)
    counts = ", ".join(f"{grade} {count}" for grade, count in zip(grades, np.bincount(labels), strict=True))
    yield f"{len(labels):,} images ({counts}); {FOLDS} folds; last layers, each at its best penalty."
    yield ""
    yield "| loss | log loss | quadratic weighted kappa | mean absolute error | accuracy | the same, median grade: kappa | error |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for loss, (outputs, lost, shares_of) in LOSSES.items():
        best = None
        for strength in STRENGTHS:
            shares = np.zeros((len(labels), len(grades)))
            for fold in range(FOLDS):
                known, asked = folds != fold, folds == fold
                weight, bias, scale = fit(features[known], labels[known], outputs(len(grades)), lost, strength)
                logits = torch.from_numpy((features[asked] - scale[0]) / scale[1]) @ weight.T + bias
                shares[asked] = shares_of(logits).numpy()
            nats = float(-np.log(np.maximum(shares[np.arange(len(labels)), labels], 1e-12)).mean())
            if best is None or nats < best[0]:
                best = nats, shares
        assert best is not None
        modal, median = best[1].argmax(axis=1), (best[1].cumsum(axis=1) < 0.5).sum(axis=1)
        yield (
            f"| {loss} | {best[0]:.4f} | {kappa(labels, modal):.3f} | {np.abs(labels - modal).mean():.3f} "
            f"| {(labels == modal).mean():.1%} | {kappa(labels, median):.3f} | {np.abs(labels - median).mean():.3f} |"
        )


def fit(
    features: NDArray[np.float32], labels: NDArray[np.int64], outputs: int, lost: Callable[..., Tensor], strength: float
) -> tuple[Tensor, Tensor, tuple[NDArray[np.float32], float]]:
    """Return weight, bias and the scale of features of the least loss with this penalty."""
    mean, spread = features.mean(axis=0), float(features.std()) + 1e-6
    scaled, wanted = torch.from_numpy((features - mean) / spread), torch.from_numpy(labels)
    weight = torch.zeros(outputs if outputs > 0 else 1, features.shape[1], requires_grad=True)
    bias = torch.zeros(abs(outputs), requires_grad=True)
    if outputs < 0:  # one score and a bias per boundary
        bias.data = torch.linspace(1, -1, -outputs)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=80, line_search_fn="strong_wolfe", tolerance_grad=1e-5)

    def step() -> Tensor:
        optimiser.zero_grad()
        loss = lost(scaled @ weight.T + bias, wanted) + strength / 2 * (weight**2).sum()
        loss.backward()
        return loss

    optimiser.step(step)
    return weight.detach(), bias.detach(), (mean, spread)


def networks(folder: Path) -> Iterator[str]:
    """Train networks from nothing on crops of 64 pixels, whose blocks tell the quality, and judge their test images."""
    import mirante
    from mirante.training import criterion as criteria

    table, grades = save_qualities(folder), [name for name, _ in QUALITIES]
    usual = criteria.ordered_cross_entropy
    losses = {
        "cross-entropy": F.cross_entropy,
        "boundaries of a softmax": boundaries,
        "both, half each (Mirante)": both,
    }
    yield "`fast`, 64 pixels, 20 epochs, split by content; means of three seeds, and their range."
    yield ""
    yield "| loss | log loss | quadratic weighted kappa | mean absolute error | accuracy |"
    yield "|---|--:|--:|--:|--:|"
    for name, function in losses.items():

        def smoothed(logits: Tensor, targets: Tensor, _: float, function: Callable[..., Tensor] = function) -> Tensor:
            return function(logits.float(), targets)

        found = []
        for seed in range(3):
            criteria.ordered_cross_entropy = replace(usual, loss=smoothed)
            run = mirante.train(
                table,
                "fast",
                root=folder,
                ordered=grades,
                max_size=64,
                fit="crop",
                epochs=20,
                seed=seed,
                out=folder / f"{name}{seed}",
                lenient=True,
            )
            metrics = run.metrics
            distances = metrics["grades"]
            found.append(
                (
                    metrics["log_loss"]["value"],
                    distances["quadratic_weighted_kappa"]["value"],
                    distances["mean_absolute_error"]["value"],
                    metrics["accuracy"]["value"],
                )
            )
        criteria.ordered_cross_entropy = usual
        cells = " | ".join(f"{np.mean(one):.3f} ({min(one):.3f} – {max(one):.3f})" for one in zip(*found, strict=True))
        yield f"| {name} | {cells} |"


def above(logits: Tensor) -> Tensor:
    """Return the probability (N, classes - 1) of being above each boundary, of a softmax over classes."""
    return 1 - logits.softmax(-1).cumsum(-1)[:, :-1]


def boundaries(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over boundaries of the log loss of yes or no."""
    upper = above(logits).clamp(1e-6, 1 - 1e-6)
    wanted = (labels[:, None] > torch.arange(upper.shape[1])).float()
    return F.binary_cross_entropy(upper, wanted, reduction="none").sum(1).mean()


def both(logits: Tensor, labels: Tensor) -> Tensor:
    return (F.cross_entropy(logits, labels) + boundaries(logits, labels)) / 2


def along(factor: float, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let weights along the order of the grades grow more easily: their penalty is divided by the square of the factor."""

    def of(logits: Tensor, *rest: Tensor) -> Tensor:
        ranks = torch.arange(logits.shape[1], dtype=logits.dtype)
        ranks = (ranks - ranks.mean()) / (ranks - ranks.mean()).norm()
        return function(logits + (factor - 1) * (logits @ ranks)[:, None] * ranks, *rest)

    return of


def adjacent(scores: Tensor, labels: Tensor) -> Tensor:
    """One score, and a softmax over grades whose logits grow with it in equal steps (Goodman 1983)."""
    return F.cross_entropy(_stepped(scores), labels)


def adjacent_shares(scores: Tensor) -> Tensor:
    return _stepped(scores).softmax(-1)


def _stepped(scores: Tensor) -> Tensor:
    none = torch.zeros(len(scores), 1)
    return torch.cat([none, scores.cumsum(1)], 1)  # each boundary adds the score and its own bias


def corn(logits: Tensor, labels: Tensor) -> Tensor:
    """Shi, Cao, Raschka 2023: of the images that reach a grade, which go beyond."""
    total, count = torch.zeros(()), 0
    for number in range(logits.shape[1]):
        reached = labels >= number
        wanted = (labels[reached] > number).float()
        total = total + F.binary_cross_entropy_with_logits(logits[reached, number], wanted, reduction="sum")
        count += len(labels)
    return total / len(labels)


def corn_shares(logits: Tensor) -> Tensor:
    upper = logits.sigmoid().cumprod(1)
    return from_above(upper)


def link(logits: Tensor, labels: Tensor) -> Tensor:
    """McCullagh 1980: one score, and a boundary between grades."""
    return -torch.log(link_shares(logits).clamp(min=1e-9))[torch.arange(len(labels)), labels].mean()


def link_shares(logits: Tensor) -> Tensor:
    ordered = logits.sort(dim=1, descending=True).values
    return from_above(ordered.sigmoid())


def from_above(upper: Tensor) -> Tensor:
    ones, none = torch.ones(len(upper), 1), torch.zeros(len(upper), 1)
    return torch.cat([ones, upper], 1) - torch.cat([upper, none], 1)


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


LOSSES: dict[str, tuple[Callable[[int], int], Callable[..., Tensor], Callable[[Tensor], Tensor]]] = {
    "cross-entropy": (lambda count: count, F.cross_entropy, softmax),
    "boundaries of a softmax": (lambda count: count, boundaries, softmax),
    "both, half each": (lambda count: count, both, softmax),
    "adjacent grades, one score": (lambda count: 1 - count, adjacent, adjacent_shares),
    "cross-entropy, order shrunk 3 times less": (lambda count: count, along(3, F.cross_entropy), along(3, softmax)),
    "cross-entropy, order shrunk 10 times less": (lambda count: count, along(10, F.cross_entropy), along(10, softmax)),
    "cross-entropy, order shrunk 30 times less": (lambda count: count, along(30, F.cross_entropy), along(30, softmax)),
    "both, order shrunk 3 times less": (lambda count: count, along(3, both), along(3, softmax)),
    "both, order shrunk 10 times less": (lambda count: count, along(10, both), along(10, softmax)),
    "CORN": (lambda count: count - 1, corn, corn_shares),
    "cumulative link": (lambda count: 1 - count, link, link_shares),
}


def kappa(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(labels, answers, weights="quadratic"))


def fold_of(units: list[str]) -> NDArray[np.int64]:
    """Return the fold of each image, units whole."""
    _, number = np.unique(np.array(units), return_inverse=True)
    order = np.random.default_rng(0).permutation(number.max() + 1)
    return order[number] % FOLDS


def features_of(table: Path, root: Path, size: int) -> tuple[NDArray[np.float32], list[str], NDArray[np.int64]]:
    """Return the features of the images that a table names, with their paths and class numbers."""
    import mirante
    from mirante.experiment.train import prepare
    from mirante.experiment.transfer import backbone_features
    from mirante.training.recipe import Recipe

    dataset = mirante.Dataset.open(table, root=root, val_share=0.0, lenient=True)
    training, _ = prepare(dataset, Recipe.load("transfer"), size, None, "cpu")
    rows = np.arange(len(training.dataset))
    features = backbone_features(training.network, training.dataset, training.pixels, training.info, rows)
    return np.asarray(features, np.float32), list(training.dataset.paths), training.dataset.targets


def write_ages(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str], list[str]]:
    root = unpacked("chest-xray-320")
    place = Path(__import__("os").environ["MIRANTE_TEST_DATA"]) / "chest-xray-findings.csv"
    with place.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["age"]]
    grades = [name for _, name in AGES]
    label = {row["path"]: next(name for end, name in AGES if float(row["age"]) < end) for row in rows}
    person = {row["path"]: row["patient"] for row in rows}
    table = folder / "ages.csv"
    table.write_text("path,label\n" + "".join(f"{path},{one}\n" for path, one in label.items()), encoding="utf-8")
    features, paths, _ = features_of(table, root, 320)
    labels = np.array([grades.index(label[path]) for path in paths])
    return features, labels, [person[path] for path in paths], grades


def save_qualities(folder: Path) -> Path:
    """Write flowers, each after a JPEG of one of the qualities, and the table of them; return the table."""
    rows = []
    for number, photo in enumerate(sorted(unpacked("flowers-128").rglob("*.jpg"))[::2]):
        grade, quality = QUALITIES[number % len(QUALITIES)]
        held = io.BytesIO()
        Image.open(photo).convert("RGB").save(held, "JPEG", quality=quality)
        Image.open(held).save(folder / f"{number:05d}.png")
        rows.append(f"{number:05d}.png,{grade}\n")
    table = folder / "qualities.csv"
    table.write_text("path,label\n" + "".join(rows), encoding="utf-8")
    return table


def write_qualities(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str], list[str]]:
    features, paths, _ = features_of(save_qualities(folder), folder, 128)
    labels = np.array([int(path.removesuffix(".png")) % len(QUALITIES) for path in paths])
    return features, labels, paths, [name for name, _ in QUALITIES]


if __name__ == "__main__":
    main()
