"""Several labels per image: one layer for all labels or one for each, rare labels weighed or not, and what risk control keeps.

MIRANTE_TEST_DATA=… python benchmarks/labels.py [findings|mosaics]…

findings  1,000 chest X-rays with 14 findings, the same features and folds by person for every way
mosaics   four photos in one picture, whose labels are known: flowers, and CIFAR-10
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from grades import FOLDS, features_of, fold_of
from numpy.typing import NDArray
from PIL import Image
from record import record
from sides import test_data, unpacked

LEAST = 80  # images with a finding, from which its area is told
PENALTIES = (1.0, 0.1, 0.01, 0.001)
SIDE = 128  # pixels of one photo of a mosaic


def main() -> None:
    for name in sys.argv[1:] or ("findings", "mosaics"):
        with tempfile.TemporaryDirectory() as folder:
            record(f"Several labels: {name}", list((findings if name == "findings" else mosaics)(Path(folder))))


def findings(folder: Path) -> Iterator[str]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    features, targets, names, units = x_rays(folder)
    folds = fold_of(units)
    wide = [number for number in range(len(names)) if targets[:, number].sum() >= LEAST]
    yield f"{len(targets):,} images, {len(set(units))} people, {FOLDS} folds by person; every way on the same features."
    yield ""
    yield (
        f"| last layer | {' | '.join(names[number] for number in wide)} | mean area | mean average precision "
        "| log loss per label | seconds |"
    )
    yield f"|---|{'--:|' * (len(wide) + 4)}"
    for way, fitted in WAYS.items():
        shares, began = np.zeros(targets.shape), time.perf_counter()
        for fold in range(FOLDS):
            known, asked = folds != fold, folds == fold
            people = [units[row] for row in np.flatnonzero(known)]
            shares[asked] = fitted(features[known], targets[known], features[asked], people)
        seconds = time.perf_counter() - began
        areas = [roc_auc_score(targets[:, number], shares[:, number]) for number in wide]
        precisions = [average_precision_score(targets[:, number], shares[:, number]) for number in wide]
        right = np.where(targets > 0, shares, 1 - shares)[:, wide]
        nats = float(-np.log(np.maximum(right, 1e-7)).mean())
        cells = " | ".join(f"{one:.3f}" for one in areas)
        yield (f"| {way} | {cells} | {np.mean(areas):.3f} | {np.mean(precisions):.3f} | {nats:.4f} | {seconds:.0f} |")


def x_rays(folder: Path) -> tuple[NDArray[np.float32], NDArray[np.int64], list[str], list[str]]:
    with (test_data() / "chest-xray-findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    told = {row["path"]: {one for one in row["labels"].split("|") if one} for row in rows}
    names = sorted(set().union(*told.values()))
    person = {row["path"]: row["patient"] for row in rows}
    table = folder / "any.csv"
    lines = [f"{path},{'with' if labels else 'without'}\n" for path, labels in told.items()]
    table.write_text("path,label\n" + "".join(lines), encoding="utf-8")
    features, paths, _ = features_of(table, unpacked("chest-xray-320"), 320)
    targets = np.array([[int(name in told[path]) for name in names] for path in paths])
    return features, targets, names, [person[path] for path in paths]


Fitted = Callable[[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], "list[str]"], NDArray[np.floating]]
"""(features and targets to learn from, features to answer, their people) → probabilities."""


def together(power: float) -> Fitted:
    """One layer as Mirante fits it, a label's yes counting (no / yes) ** power times; 0 changes nothing."""

    def fit(known: NDArray[np.float32], wanted: NDArray[np.int64], asked: NDArray[np.float32], people: list[str]):  # type: ignore[no-untyped-def]
        from scipy.special import expit

        from mirante.training.head import fit_head

        yes = np.maximum(wanted.sum(axis=0), 1)
        weights = ((len(wanted) - yes) / yes) ** power

        def slopes(logits: NDArray[np.floating], targets: NDArray[np.int64]) -> tuple[float, NDArray[np.floating]]:
            often = np.where(targets > 0, weights, 1.0)
            losses = np.logaddexp(0, np.where(targets > 0, -logits, logits)) * often
            return float(losses.sum(axis=1).mean()), ((expit(logits) - targets) * often).astype(logits.dtype)

        none = known[:0], wanted[:0]
        head = fit_head(known, wanted, *none, wanted.shape[1], units=people, slopes=slopes if power else None)
        return calibrated(asked @ head.weight.T + head.bias, known @ head.weight.T + head.bias, wanted, power)

    return fit


def calibrated(
    logits: NDArray[np.floating], known: NDArray[np.floating], wanted: NDArray[np.int64], power: float
) -> NDArray[np.floating]:
    """Return probabilities; where a yes counted more often, the shift of each label that takes this back."""
    from scipy.special import expit

    yes = np.maximum(wanted.sum(axis=0), 1)
    found: NDArray[np.floating] = expit(logits - power * np.log((len(wanted) - yes) / yes))
    return found


def apart(known: NDArray[np.float32], wanted: NDArray[np.int64], asked: NDArray[np.float32], people: list[str]):  # type: ignore[no-untyped-def]
    """A logistic regression of its own for each label, with the penalty that its own folds by person choose."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    warnings.filterwarnings("ignore")
    shares = np.zeros((len(asked), wanted.shape[1]))
    for number in range(wanted.shape[1]):
        has = wanted[:, number]
        if has.sum() < FOLDS:
            shares[:, number] = has.mean()
            continue
        best, chosen = -np.inf, None
        for penalty in PENALTIES:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=300))
            scores = cross_val_score(model, known, has, groups=people, cv=GroupKFold(3), scoring="neg_log_loss")
            if np.nan_to_num(scores, nan=-9).mean() > best:
                best, chosen = float(np.nan_to_num(scores, nan=-9).mean()), model
        assert chosen is not None
        shares[:, number] = chosen.fit(known, has).predict_proba(asked)[:, 1]
    return shares


WAYS: dict[str, Fitted] = {
    "one for all labels, one penalty (Mirante)": together(0.0),
    "the same, a rare yes counts as the square root of how rare": together(0.5),
    "the same, a rare yes counts as often as it is rare": together(1.0),
    "14 separate classifiers, each with its penalty": apart,
}


def mosaics(folder: Path) -> Iterator[str]:
    import mirante

    yield (
        "Mosaics of four photos, each photo in one mosaic; `mirante train --task tag`, `transfer`, split by content. Kept: the share "
        "of an image's labels that are in its set, mean over the test images that have any, for each share promised."
    )
    yield ""
    yield (
        "| | mosaics | labels | largest difference of a label's share between splits | mean area | ECE "
        "| kept of 80% | 90% | 95% | 99% |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name, most in (("flowers-128", 1200), ("cifar10-images", 3000)):
        table = write_mosaics(unpacked(name), folder / name, most)
        run = mirante.train(folder / name, "transfer", task="tag", labels=table, out=folder / f"{name}-run")
        data, metrics = run.dataset(), run.metrics
        shares = np.array([(data.targets[data.rows(split)] > 0).mean(axis=0) for split in ("train", "val", "test")])
        apart = float((shares.max(axis=0) - shares.min(axis=0)).max())
        kept = " | ".join(f"{one['coverage']['value']:.1%}" for one in metrics["prediction_sets"].values())
        yield (
            f"| {name} | {len(data):,} | {len(data.classes)} | {apart:.1%} | {metrics['mean_roc_area']['value']:.3f} "
            f"| {metrics['ece']['value']:.1%} | {kept} |"
        )


def write_mosaics(root: Path, folder: Path, most: int) -> Path:
    """Write mosaics of photos and labels.csv; return the table. One photo in four is left out: a mosaic has up to four classes."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    photos = sorted(one for one in root.rglob("*") if one.suffix in (".jpg", ".png"))
    photos = [photos[place] for place in chance.permutation(len(photos))][: 4 * most]
    lines = ["path,labels"]
    for number in range(len(photos) // 4):
        sheet, labels = Image.new("RGB", (2 * SIDE, 2 * SIDE), (128, 128, 128)), set()
        for place, photo in enumerate(photos[4 * number : 4 * number + 4]):
            if chance.random() < 0.25:
                continue
            with Image.open(photo) as image:
                sheet.paste(image.convert("RGB").resize((SIDE, SIDE)), (SIDE * (place % 2), SIDE * (place // 2)))
            labels.add(photo.parent.name)
        sheet.save(folder / f"{number:05d}.jpg", quality=90)
        lines.append(f"{number:05d}.jpg,{'|'.join(sorted(labels))}")
    table = folder / "labels.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


if __name__ == "__main__":
    main()
