"""Photos: grouping against labels, questions that are chosen against random ones, and ten thousand photos through two hundred kills.

MIRANTE_TEST_DATA=… python benchmarks/photos.py [group|questions|kills]…
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from record import record
from sides import unpacked

ROUNDS, A_ROUND, SEEDS = 10, 20, 5
CURVES = Path(__file__).parent / "questions.csv"


def main() -> None:
    for name in sys.argv[1:] or MEASURED:
        title, measure = MEASURED[name]
        with tempfile.TemporaryDirectory() as folder:
            record(title, list(measure(Path(folder))))


def photos_of(name: str, most: int, folder: Path) -> list[str]:
    """Copy some images of an archive into one folder, without their classes; return the classes in the order of the names."""
    random = np.random.default_rng(0)
    paths = sorted(path for path in unpacked(name).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    labels = []
    for place in np.sort(random.permutation(len(paths))[:most]):
        path = paths[place]
        shutil.copy2(path, folder / f"{name}-{place:05d}{path.suffix}")
        labels.append(f"{name}/{path.parent.name}")
    return labels


def group(folder: Path) -> Iterator[str]:
    """Groups against classes: ours, and HDBSCAN on the same components."""
    from sklearn.cluster import HDBSCAN
    from sklearn.metrics import adjusted_rand_score

    from mirante.locale import language
    from mirante.photos import group as grouping
    from mirante.photos.features import packaged_extractor
    from mirante.photos.grouping import group_folder
    from mirante.photos.library import Library

    sets = {
        "flowers": [("flowers-128", 4317)],
        "mix": [("flowers-128", 2000), ("chest-xray-320", 1124), ("cifar10-images", 2000)],
        "10,000 photos": [("flowers-128", 4317), ("cifar10-images", 5683)],
    }
    yield "| photos | way | groups | adjusted Rand index | purity | left out |\n|---|---|--:|--:|--:|--:|"
    notes = []
    for name, parts in sets.items():
        os.environ["MIRANTE_CACHE"] = str(folder / f"cache of {name}")  # of its own: nothing was seen before
        place = folder / name
        place.mkdir()
        labels = [label for archive, most in parts for label in photos_of(archive, most, place)]
        by_path = dict(zip(sorted(path.name for path in place.iterdir()), labels_sorted(place, labels), strict=True))
        began = time.monotonic()
        groups, _ = group_folder(Library(place), language("en"))
        seconds = time.monotonic() - began
        given, found = [], []
        for number, one in enumerate(groups):
            for photo in one.photos:
                given.append(by_path[photo.path])
                found.append(number)
        yield row(name, "k-means, by silhouette (ours)", given, found, adjusted_rand_score)
        photos, _ = Library(place).look()
        extractor = packaged_extractor()
        directions = np.sqrt(np.maximum(extractor.look(place, photos)[0], 0))
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
        reduced = grouping._reduce(directions)
        for least in (5, 15):
            clustered = HDBSCAN(least, copy=True).fit_predict(reduced).tolist()
            given = [by_path[photo.path] for photo in photos]
            yield row(name, f"HDBSCAN, at least {least} a group", given, clustered, adjusted_rand_score)
        began = time.monotonic()
        shutil.copy2(next(place.iterdir()), place / "late.jpg")
        group_folder(Library(place), language("en"))
        notes.append(
            f"{name}: {len(labels):,} photos in {seconds:.0f} s; again with one more in {time.monotonic() - began:.0f} s."
        )
    yield ""
    yield from notes


def labels_sorted(folder: Path, labels: list[str]) -> list[str]:
    """Return the labels in the order of the sorted names: archives were copied one after the other, each in order."""
    names: dict[str, list[str]] = {}
    for label in labels:
        names.setdefault(label.partition("/")[0], []).append(label)
    return [label for archive in sorted(names) for label in names[archive]]


def row(name: str, way: str, given: list[str], found: list[int], index: Callable[..., float]) -> str:
    numbers = np.unique(given, return_inverse=True)[1]
    clusters = np.array(found)
    inside = clusters >= 0
    right = sum(np.bincount(numbers[clusters == one]).max() for one in np.unique(clusters[inside]))
    return (
        f"| {name} | {way} | {len(np.unique(clusters[inside]))} | {index(numbers, clusters):.3f} | {right / max(1, inside.sum()):.3f} "
        f"| {(~inside).mean():.0%} |"
    )


def questions(folder: Path) -> Iterator[str]:
    """A simulated person on flowers: 10 labelled photos a class, then 200 answers; accuracy on photos that were kept out."""
    from mirante.data.dataset import Dataset
    from mirante.experiment.transfer import backbone_features
    from mirante.model.network import build_network
    from mirante.model.packages import OFFLINE
    from mirante.model_info import ModelInfo

    dataset = Dataset.open(unpacked("flowers-128"), lenient=True)
    info = ModelInfo(dataset.classes, 224, 224, 3, "crop", OFFLINE)
    dataset, pixels = dataset.load(info.size, 3, "crop")
    network = build_network(OFFLINE, (224, 224, 3), 5, False, "")
    features = backbone_features(network, dataset, pixels, info, np.arange(len(dataset)))
    curves: dict[tuple[str, float], np.ndarray] = {}
    for wrong in (0.0, 0.05):
        for way in ("random", "chosen", "chosen, every click counted"):
            curves[way, wrong] = np.array(
                [simulate(features, dataset.targets, way, wrong, seed) for seed in range(SEEDS)]
            )
    with CURVES.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["way", "wrong_answers", "answers", "accuracy", "least", "most"])
        for (way, wrong), found in curves.items():
            for place in range(ROUNDS + 1):
                values = found[:, place]
                figures = (f"{value:.4f}" for value in (values.mean(), values.min(), values.max()))
                writer.writerow([way, wrong, place * A_ROUND, *figures])
    yield f"Means of {SEEDS} seeds, after so many answers:\n"
    yield (
        "| wrong answers | way | "
        + " | ".join(str(place * A_ROUND) for place in range(ROUNDS + 1))
        + " | as good as random's 200 |"
    )
    yield "|--:|---|" + "--:|" * (ROUNDS + 2)
    for (way, wrong), found in curves.items():
        mean, goal = found.mean(axis=0), curves["random", wrong].mean(axis=0)[-1]
        reached = next((str(place * A_ROUND) for place in range(ROUNDS + 1) if mean[place] >= goal), "–")
        yield f"| {wrong:.0%} | {way} | " + " | ".join(f"{value:.1%}" for value in mean) + f" | {reached} |"


def simulate(features: np.ndarray, labels: np.ndarray, way: str, wrong: float, seed: int) -> list[float]:
    """Return the accuracy on a third of the photos after every 20 answers."""
    from mirante.photos.questions import choose
    from mirante.prediction.calibration import softmax
    from mirante.training.head import fit_head

    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    held, pool = order[: len(order) // 3], order[len(order) // 3 :]
    classes = int(labels.max()) + 1
    known = {int(row): int(labels[row]) for one in range(classes) for row in pool[labels[pool] == one][:10]}
    places = {int(row): place for place, row in enumerate(pool)}
    found, asked = [], 0
    for turn in range(ROUNDS + 1):
        rows = np.array(list(known))
        head = fit_head(features[rows], np.array(list(known.values())), features[:0], labels[:0], classes, 0.1)
        logits = features @ head.weight.numpy().T + head.bias.numpy()
        found.append(float((logits[held].argmax(axis=1) == labels[held]).mean()))
        spent = 0
        while spent < A_ROUND and turn < ROUNDS:
            if way == "random":
                row = next(int(row) for row in random.permutation(pool) if int(row) not in known)
                known[row] = said(labels[row], classes, wrong, random)
                spent += 1
                continue
            answered: dict[int, int | None] = {places[row]: label for row, label in known.items()}
            for one in choose(features[pool], softmax(logits[pool]), answered, A_ROUND, random, frozenset(), asked):
                if spent >= A_ROUND:
                    break
                asked += 1
                spent += 1
                mine = [int(pool[place]) for place in one.rows]
                if len(mine) == 1:
                    known[mine[0]] = said(labels[mine[0]], classes, wrong, random)
                    continue
                for row in mine:  # those that are something else are clicked away
                    inside = (labels[row] == one.label) != (random.random() < wrong)
                    if inside:
                        known[row] = one.label
                    elif way.endswith("counted"):
                        spent += 1
    return found


def said(label: int, classes: int, wrong: float, random: np.random.Generator) -> int:
    return int((label + random.integers(1, classes)) % classes) if random.random() < wrong else int(label)


STEP = """
import sys
from pathlib import Path
from mirante.photos.journal import read_journals
from mirante.photos.moving import carry_out, undo
print("ready", flush=True)
(undo if sys.argv[2] == "undo" else carry_out)(read_journals(Path(sys.argv[1]))[0])
"""


def kills(folder: Path) -> Iterator[str]:
    """Ten thousand photos moved and moved back, killed two hundred times on the way."""
    from mirante.photos.journal import Step, read_journals, write_plan
    from mirante.photos.moving import restore_times, undo

    random, photos, into = np.random.default_rng(0), folder / "photos", folder / "sorted"
    steps = []
    for number in range(10_000):
        path = photos / f"{number % 50}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(int(random.integers(100, 5000))))
        os.utime(path, ns=(10**18, 10**18 + number))
        status = path.stat()
        target = into / f"class {number % 9}" / f"{number % 4000}-{number}.jpg"
        steps.append(Step(str(path), str(target), status.st_size, status.st_mtime_ns))
    journal = write_plan("move", photos, into, [str(into / f"class {one}") for one in range(9)], steps)
    before, lost, places = snapshot(photos), 0, []
    for turn in range(200):
        what = "do" if turn % 2 == 0 else "undo"
        process = subprocess.Popen([sys.executable, "-c", STEP, str(into), what], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(float(random.uniform(0.05, 1.2)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if turn % 20 == 19:
            contents = Counter(one[0] for place in (photos, into) for one in snapshot(place).values())
            lost += sum((Counter(one[0] for one in before.values()) - contents).values())
        places.append(sum(1 for _ in into.rglob("*.jpg")))
        if not read_journals(into):  # it was taken back whole before the kill came
            journal = write_plan("move", photos, into, journal.made, steps)
    left = [one for again in read_journals(into) for one in undo(again).left]
    restore_times(journal)
    same = snapshot(photos) == before
    yield f"200 kills, photos in the new place afterwards from {min(places):,} to {max(places):,}; contents missing: {lost}."
    said_so = "as they were" if same else "NOT as they were"
    yield f"Taken back at the end: {len(left)} left; names, contents, times and modes {said_so}."
    yield f"Files left in the new place: {sum(1 for path in into.rglob('*') if path.is_file() and '.mirante' not in path.parts)}."


def snapshot(folder: Path) -> dict[str, tuple[str, int, int]]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and ".mirante" not in path.parts and path.stat().st_size:
            status = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = (digest, status.st_mode, status.st_mtime_ns)
    return found


MEASURED: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "group": ("Photos grouped without labels, against their classes", group),
    "questions": ("Questions about photos: chosen and random, a simulated person on flowers", questions),
    "kills": ("Ten thousand photos, two hundred kills", kills),
}

if __name__ == "__main__":
    main()
