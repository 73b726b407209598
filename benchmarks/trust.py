"""How far probabilities can be trusted: calibration, prediction sets, none-of-these between four data sets, X-rays in folds.

MIRANTE_TEST_DATA=… python benchmarks/trust.py [calibration|none|people|xrays]…
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from record import record

BACKBONE = "timm:tf_efficientnet_lite0"
DATA = Path(os.environ.get("MIRANTE_TEST_DATA", "."))


def main() -> None:
    for name in sys.argv[1:] or MEASURED:
        title, measure = MEASURED[name]
        with tempfile.TemporaryDirectory() as folder:
            record(title, list(measure(Path(folder))))


def train(*words: str | Path, out: Path) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "mirante", "train", *map(str, words), "--out", str(out)], check=True)
    return time.monotonic() - began


def calibration(folder: Path) -> Iterator[str]:
    """The fast recipe on CIFAR-10: what held-out images make of its probabilities, each way beside the others."""
    from sklearn.isotonic import IsotonicRegression

    from mirante import Dataset
    from mirante.evaluation.metrics import calibration_error, log_losses
    from mirante.prediction.calibration import fit_temperature, fit_vectors, softmax

    word = DATA / "cifar10-images.tar.xz"
    train(word, "--time", os.environ.get("SECONDS_OF_TRAINING", "120s"), out=folder / "run")
    from mirante.prediction.model import Model

    classifier = Model(folder / "run")
    dataset, pixels = Dataset.open(word).load(classifier.info.size, 3, "crop")
    (held, taught), (asked, labels) = (
        (classifier.run(pixels[dataset.rows(split)]).logits, dataset.targets[dataset.rows(split)])
        for split in ("val", "test")
    )
    temperature = fit_temperature(held, taught)
    scales, shifts = fit_vectors(held, taught, temperature)
    scaled = softmax(asked / temperature)
    curves = [
        IsotonicRegression(out_of_bounds="clip")
        .fit(softmax(held / temperature)[:, one], taught == one)
        .predict(scaled[:, one])
        for one in range(10)
    ]
    isotonic = np.stack(curves, axis=1) + 1e-6
    ways = {
        "none": softmax(asked),
        f"temperature {temperature:.2f}": scaled,
        "vector scaling": softmax(asked * scales + shifts),
        "isotonic": isotonic / isotonic.sum(axis=1, keepdims=True),
    }
    count = f"fitted on {len(taught):,} validation images, judged on {len(labels):,} test images"
    yield f"Accuracy {(asked.argmax(1) == labels).mean():.1%}; {count}."
    yield ""
    yield "| calibration | ECE | log loss |\n|---|--:|--:|"
    for name, shares in ways.items():
        error = calibration_error(shares.max(axis=1), shares.argmax(axis=1) == labels)
        yield f"| {name} | {error:.2%} | {log_losses(shares, labels).mean():.4f} |"
    yield ""
    yield "| sets | promised | kept | least and most in a class | classes a set | sets of one class | empty |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    known, shares = softmax(held * scales + shifts), ways["vector scaling"]
    random = np.random.default_rng(0)
    scores: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "1 - probability": (1 - known, 1 - shares),
        "RAPS, with chance": tuple(raps(one, random.random(len(one))) for one in (known, shares)),
        "RAPS, without": tuple(raps(one, np.ones(len(one))) for one in (known, shares)),
    }
    for name, (ours, theirs) in scores.items():
        for promised in (0.9, 0.95, 0.99):
            own = ours[np.arange(len(taught)), taught]
            limits = [conformal(own[taught == one], promised) for one in range(10)]
            sets = theirs <= np.array(limits)
            kept = sets[np.arange(len(labels)), labels]
            by_class = [kept[labels == one].mean() for one in range(10)]
            sizes = sets.sum(axis=1)
            yield (
                f"| {name} | {promised:.0%} | {kept.mean():.1%} | {min(by_class):.1%} – {max(by_class):.1%} | {sizes.mean():.2f} "
                f"| {(sizes == 1).mean():.0%} | {(sizes == 0).mean():.1%} |"
            )


def raps(shares: np.ndarray, chance: np.ndarray, penalty: float = 0.01, free: int = 2) -> np.ndarray:
    """The scores of Angelopoulos, Bates, Malik, Jordan, "Uncertainty sets for image classifiers using conformal prediction", 2021."""
    order = np.argsort(-shares, axis=1, kind="stable")
    sorted_shares = np.take_along_axis(shares, order, 1)
    sums = sorted_shares.cumsum(axis=1) - sorted_shares * (1 - chance[:, None])
    sums += penalty * np.maximum(0, np.arange(1, shares.shape[1] + 1) - free)
    found = np.empty_like(sums)
    np.put_along_axis(found, order, sums, 1)
    return found


def conformal(scores: np.ndarray, promised: float) -> float:
    place = int(np.ceil((len(scores) + 1) * promised))
    return float(np.sort(scores)[place - 1]) if place <= len(scores) else np.inf


def none(folder: Path) -> Iterator[str]:
    """Each of four data sets as the known one, the others as what it should call none of these; features of the offline backbone."""
    from sklearn.metrics import roc_auc_score

    from mirante import Dataset
    from mirante.experiment.transfer import backbone_features
    from mirante.model.network import build_network
    from mirante.model_info import ModelInfo
    from mirante.prediction.out_of_distribution import fit_subspace, ood_score
    from mirante.training.head import fit_head

    words: dict[str, dict[str, object]] = {
        "digits": {},
        str(DATA / "flowers-128.tar.xz"): {},
        str(DATA / "chest-xray-320.tar.xz"): {"labels": "labels.csv"},
        str(DATA / "cifar10-images.tar.xz"): {},
    }
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for word, options in words.items():
        dataset = Dataset.open(word, **options)  # type: ignore[arg-type]
        rows = np.sort(np.random.default_rng(0).permutation(len(dataset))[:4000])
        dataset = dataset._only(rows.tolist())
        info = ModelInfo(dataset.classes, 224, 224, 3, "crop", BACKBONE)
        dataset, pixels = dataset.load(info.size, 3, "crop")
        network = build_network(BACKBONE, (224, 224, 3), len(dataset.classes), False, "")
        seen[dataset.name] = (
            backbone_features(network, dataset, pixels, info, np.arange(len(dataset))),
            dataset.targets,
        )
    yield "| known | score | " + " | ".join(f"against {name}" for name in seen) + " |\n|---|---|" + "--:|" * len(seen)
    for name, (features, labels) in seen.items():
        order = np.random.default_rng(1).permutation(len(labels))
        taught, held, asked = np.split(order, [int(0.7 * len(order)), int(0.8 * len(order))])
        head = fit_head(features[taught], labels[taught], features[held], labels[held], int(labels.max()) + 1)
        weight, bias = head.weight.numpy(), head.bias.numpy()
        space = fit_subspace(features[taught])
        assert space is not None
        bank = unit(features[taught])
        mean = features[taught].mean(axis=0)
        vectors = np.linalg.svd(features[taught] - mean, full_matrices=False)[2][:128].T
        middles = [((features[taught] - mean) @ vectors)[labels[taught] == one].mean(0) for one in np.unique(labels)]
        inside = (features[taught] - mean) @ vectors - np.array(middles)[
            np.searchsorted(np.unique(labels), labels[taught])
        ]
        inverse = np.linalg.inv(np.cov(inside.T) + 1e-3 * np.eye(128))

        def energy(x: np.ndarray, weight: np.ndarray = weight, bias: np.ndarray = bias) -> np.ndarray:
            return -np.logaddexp.reduce((x @ weight.T + bias).astype(np.float64), axis=1)

        def mahalanobis(
            x: np.ndarray,
            mean: np.ndarray = mean,
            vectors: np.ndarray = vectors,
            middles: list[np.ndarray] = middles,
            inverse: np.ndarray = inverse,
        ) -> np.ndarray:
            gaps = [(x - mean) @ vectors - middle for middle in middles]
            return np.min([np.einsum("nd,de,ne->n", gap, inverse, gap) for gap in gaps], axis=0)

        scores: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "energy": energy,
            "largest logit": lambda x, w=weight, b=bias: -(x @ w.T + b).max(axis=1),
            "Mahalanobis": mahalanobis,
            "5 nearest": lambda x, bank=bank: -np.partition(unit(x) @ bank.T, -5, axis=1)[:, -5:].mean(axis=1),
            "outside the space (ours)": lambda x, space=space: ood_score(x, space),
        }
        for called, score in scores.items():
            usual = score(features[asked])
            areas = []
            for other, (others, _) in seen.items():
                if other == name:
                    areas.append("–")
                    continue
                strange = score(others)
                wanted = np.r_[np.zeros(len(usual)), np.ones(len(strange))]
                areas.append(f"{roc_auc_score(wanted, np.r_[usual, strange]):.3f}")
            yield f"| {name} | {called} | {' | '.join(areas)} |"


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def people(folder: Path) -> Iterator[str]:
    """The fast recipe's doubts about CIFAR-10's test images, beside those of the people who voted on each of them."""
    from scipy.stats import spearmanr

    from mirante.evaluation.metrics import entropies
    from mirante.experiment.label_errors import rank_doubtful

    train(DATA / "cifar10-images.tar.xz", "--time", os.environ.get("SECONDS_OF_TRAINING", "120s"), out=folder / "run")
    with (folder / "run" / "predictions.csv").open(encoding="utf-8") as file:
        answered = {row["path"].partition("test/")[2]: row for row in csv.DictReader(file)}
    with (DATA / "cifar10-test-people.csv").open(encoding="utf-8") as file:
        voted = list(csv.DictReader(file))
    names = [name.removeprefix("people_") for name in voted[0] if name.startswith("people_")]
    ours = [answered[row["path"].partition("test/")[2]] for row in voted]
    shares = np.array([[float(row[name]) for name in names] for row in ours])
    votes = np.array([[float(row[f"people_{name}"]) for name in names] for row in voted])
    labels = np.array([names.index(row["label"]) for row in voted])
    votes /= votes.sum(axis=1, keepdims=True)
    asked = np.array([row["asked_again"] == "yes" for row in voted])
    wrong = np.array([row["asked_again"] == "yes" and int(row["said_given"]) <= 2 for row in voted])
    other = votes.argmax(axis=1) != labels
    order = np.argsort(rank_doubtful(shares, labels)[1], kind="stable")
    yield f"Accuracy {(shares.argmax(1) == labels).mean():.1%}; most people name another class than the label for {other.sum()}"
    yield f"images; of {asked.sum()} doubtful labels that were asked again, {wrong.sum()} were upheld by two of five or fewer."
    yield ""
    yield "| in the first | most people name another class | not upheld when asked again |\n|--:|--:|--:|"
    for share in (0.01, 0.02, 0.05, 0.1):
        first = order[: round(share * len(order))]
        yield f"| {share:.0%} of the ranking | {other[first].sum() / other.sum():.1%} | {wrong[first].sum() / wrong.sum():.1%} |"
    yield ""
    likeness = spearmanr(entropies(shares), entropies(votes)).statistic
    yield f"Rank correlation of the dispersion of the model's probabilities and of people's votes: {likeness:.2f}."
    sure, unsure = (entropies(votes)[entropies(shares) <= 0.05], entropies(votes)[entropies(shares) >= 0.5])
    yield f"Where the model is sure (dispersion to 0.05), people's is {sure.mean():.3f}; where not (from 0.5), {unsure.mean():.3f}."


def xrays(folder: Path) -> Iterator[str]:
    """Chest X-rays in five folds by patient, with an empty cache: two classes, then three."""
    os.environ["MIRANTE_CACHE"] = str(folder / "cache")
    words = (
        "--labels",
        "labels.csv",
        "--group-column",
        "patient",
        "--recipe",
        "transfer",
        "--folds",
        "5",
        "--sensitivity",
        "0.9",
    )
    for classes in ("no_finding,pneumonia", "covid19,no_finding,pneumonia"):
        out = folder / classes.replace(",", "-")
        seconds = train(
            DATA / "chest-xray-320.tar.xz", *words, "--classes", classes, "--positive", "pneumonia", out=out
        )
        found = json.loads((out / "metrics.json").read_text())
        told, decision = found["one_vs_rest"]["pneumonia"], found["decision"]
        kept = ", ".join(
            f"{float(one):.0%} promised {row['coverage']['value']:.1%} kept ({row['by_group']:.1%} by patient)"
            for one, row in found["prediction_sets"].items()
        )
        grave = [note for note in json.loads((out / "data.json").read_text())["notes"] if note[2]]
        yield f"**{classes}**, {seconds:.0f} s in all."
        yield f"Area under the ROC curve of pneumonia {figure(told['roc_area'])}; accuracy {figure(found['accuracy'])};"
        yield (
            f"ECE {figure(found['ece'])}, before the calibration {found['uncalibrated']['ece']:.3f}. At the threshold for a "
            f"sensitivity of 90%: sensitivity {figure(decision['sensitivity'])}, specificity {figure(decision['specificity'])}."
        )
        yield f"Sets: {kept}. Taken for none of these: {found['taken_for_none_of_these']['value']:.1%}. Warnings in red: {len(grave)}."
        yield ""


def figure(one: dict[str, float]) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} – {one['high']:.3f})"


MEASURED: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "calibration": ("Calibration and prediction sets, fast recipe on CIFAR-10", calibration),
    "none": ("None of these: area under the ROC curve of each score", none),
    "people": ("LabelErrors of the model and of people, CIFAR-10's test images", people),
    "xrays": ("Chest X-rays in five folds by patient", xrays),
}

if __name__ == "__main__":
    main()
