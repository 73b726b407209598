"""How soon a change in the images is found, how often there is an alarm without one, and how good the estimate of the accuracy is.

python benchmarks/monitor.py RUN [--months 100] [--others FOLDER] [--images 10000] [--keep FILE.npz] [--few]

RUN is a run whose test images are many, or one with folds of a pretrained network; FOLDER has images of something else. Months are
simulated from its images: some, drawn anew each time, are the reference, the others the images in use. FILE.npz is for
benchmarks/others/drift_side.py, which gives the same sketches to other programs.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from mirante.evaluation.figure import Figure
from mirante.images import Pixels
from mirante.monitoring.drift import LIMIT, PERIODS, Images, Reference, evidence
from mirante.monitoring.estimates import accuracy, class_mix
from mirante.prediction.sketch import sketch
from mirante.run import Run

Change = Callable[[Pixels], Pixels]


def each(work: Callable[[Image.Image], Image.Image]) -> Change:
    def change(pixels: Pixels) -> Pixels:
        made = [np.asarray(work(Image.fromarray(one.squeeze()))) for one in pixels]
        return np.stack(made).reshape(pixels.shape)

    return change


def jpeg(quality: int) -> Change:
    def work(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return each(work)


CHANGES: dict[str, list[tuple[str, Change]]] = {
    "blur (radius in pixels)": [
        (f"{radius}", each(lambda image, radius=radius: image.filter(ImageFilter.GaussianBlur(radius))))  # type: ignore[misc]
        for radius in (0.4, 0.6, 1.0)
    ],
    "brightness (times)": [
        (f"{times}", lambda pixels, times=times: np.clip(pixels * times, 0, 255).astype(np.uint8))  # type: ignore[misc]
        for times in (0.9, 0.75, 0.5)
    ],
    "JPEG quality": [(f"{quality}", jpeg(quality)) for quality in (60, 30, 10)],
}


class Simulated:
    """A run's test images with all that the network says about them, and about changed versions of them."""

    def __init__(self, run: Run, most: int) -> None:
        self.model = run.model(features=True)
        dataset, pixels = run.dataset().load(run.info.size, run.info.channels, run.info.fit, run.info.rendering)
        self.folds = bool(
            dataset.folds
        )  # all images were trained on, and only what a pretrained network sees of them is as of new ones
        rows = np.arange(len(dataset)) if self.folds else dataset.rows("test")
        self.rows = np.sort(np.random.default_rng(0).permutation(rows)[:most])
        self.pixels = np.asarray(pixels[self.rows])
        self.targets = dataset.targets[self.rows].reshape(-1)
        self.images, self.probabilities = self.seen(self.pixels)

    def seen(self, pixels: Pixels) -> tuple[Images, NDArray[np.float32]]:
        found = self.model.run(pixels)
        sketches = sketch(found.values["features"]).astype(np.float32)
        if self.folds:
            return Images(sketches), found.probabilities
        return Images(sketches, found.ood_scores, found.probabilities.max(axis=1)), found.probabilities


def some(images: Images, rows: NDArray[np.integer]) -> Images:
    return Images(*(None if one is None else one[rows] for one in images))


def months(
    data: Simulated, a_day: int, count: int, changed: Images | None, share: float, rng: np.random.Generator
) -> tuple[float, list[int]]:
    """Return the share of months with an alarm, and after how many days of change it came (without those in which it did not).

    changed  sketches of images to mix in from the first day, of the same rows where they have the same length
    """
    count_of_all = len(data.targets)
    kept = min(2000, count_of_all // 2)
    alarms, days = 0, []
    for _ in range(count):
        order = rng.permutation(count_of_all)
        reference, used = Reference(some(data.images, order[:kept])), order[kept:]
        found: list[float | None] = []
        for _day in range(PERIODS):
            today = rng.choice(used, a_day, replace=False)
            now = some(data.images, today)  # a copy
            if changed is not None:
                which = rng.random(a_day) < share
                same = len(changed.sketches) == count_of_all
                rows = today[which] if same else rng.integers(0, len(changed.sketches), int(which.sum()))
                for values, others in zip(now, changed, strict=True):
                    if values is not None:
                        values[which] = others[rows]
            found.append(reference.look(now, rng).e_value)
            if changed is not None and evidence(found)[-1] >= LIMIT:
                break
        reached = [one >= LIMIT for one in evidence(found)]
        if any(reached):
            alarms += 1
            days.append(reached.index(True) + 1)
    return alarms / count, days


def few_tested(data: Simulated, name: str, changed: Images | None, count: int, rng: np.random.Generator) -> None:
    """Print how often 80 images are found to be different by a single look, where the test had few: by a part of them, and by all."""
    for tested in (38, 60, 100):
        part, whole = 0, 0
        for _ in range(count):
            order = rng.permutation(len(data.targets))
            reference, used = Reference(some(data.images, order[:tested])), order[tested:]
            if changed is None:
                now = some(data.images, used[:80])
            else:
                same = len(changed.sketches) == len(data.targets)
                now = some(changed, used[:80] if same else rng.permutation(len(changed.sketches))[:80])
            part += reference.look(now, rng).p_value < 0.01
            whole += reference.look_once(now).p_value < 0.01
        print(f"| {name} | {tested} | {part / count:.0%} | {whole / count:.0%} |", flush=True)


def told(name: str, strength: str, a_day: int, share: float, days: list[int]) -> None:
    found = f"{np.median(days):.0f} days = {a_day * np.median(days):.0f} images" if days else "–"
    print(f"| {name} | {strength} | {a_day} | {share:.0%} | {found} |", flush=True)


def covers(one: Figure, truth: float) -> bool:
    return one.low <= truth <= one.high


def estimates(data: Simulated, rng: np.random.Generator, count: int) -> None:
    right = data.probabilities.argmax(axis=1) == data.targets
    given = data.probabilities.max(axis=1).astype(np.float64)
    classes = data.probabilities.shape[1]
    kinds = {"as in the test": None, "one class three times as often": 3.0, "one class is gone": 0.0}
    for name, times in kinds.items():
        inside, mixes, errors = [], [], []
        for _ in range(count):
            order = rng.permutation(len(right))
            tested, used = order[:2000], order[2000:]
            weights = np.ones(len(used))
            if times is not None:
                weights[data.targets[used] == rng.integers(classes)] = times
            now = rng.choice(used, 500, replace=False, p=weights / weights.sum())
            found = accuracy(given[now], given[tested], right[tested])
            inside.append(covers(found, float(right[now].mean())))
            errors.append(abs(found.value - right[now].mean()))
            before = np.bincount(data.targets[tested], minlength=classes) / len(tested)
            truth = np.bincount(data.targets[now], minlength=classes) / len(now)
            mix = class_mix(data.probabilities[now], before, data.probabilities[tested], data.targets[tested])
            mixes += [covers(one, float(share)) for one, share in zip(mix, truth, strict=True)]
        print(
            f"500 images, {name}: the interval of the accuracy holds the truth in {np.mean(inside):.1%} (mean error "
            f"{np.mean(errors):.1%}), those of the class shares in {np.mean(mixes):.1%}",
            flush=True,
        )
    for name, changes in CHANGES.items():
        for strength, change in changes:
            _, shares = data.seen(change(data.pixels))
            told_right, sure = shares.argmax(axis=1) == data.targets, shares.max(axis=1).astype(np.float64)
            found = accuracy(sure[:5000], given[5000:7000], right[5000:7000])
            print(f"{name} {strength}: really {told_right[:5000].mean():.1%}, estimated {found.value:.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--months", type=int, default=100)
    parser.add_argument("--others", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--few", action="store_true", help="only a single look, by few test images")
    asked = parser.parse_args()
    data, rng = Simulated(Run(asked.run), asked.images), np.random.default_rng(0)
    if asked.few:
        print("| change | test images | found by a part (p < 0.01) | by all |\n|---|---|---|---|")
        few_tested(data, "none", None, asked.months, rng)
        for name, changes in CHANGES.items():
            strength, change = changes[-1]
            few_tested(data, f"{name} {strength}", data.seen(change(data.pixels))[0], asked.months, rng)
        if asked.others is not None:
            files = sorted(asked.others.rglob("*.jpg"))[:1000]
            changed, _ = data.seen(np.stack([data.model.pixels(file) for file in files]))
            few_tested(data, asked.others.name, changed, asked.months, rng)
        return
    kept = {"": data.images.sketches}
    for a_day in (30, 100, 200):
        share, _ = months(data, a_day, asked.months, None, 0.0, rng)
        print(f"{a_day} images a day, nothing changes: an alarm in {share:.1%} of {asked.months} months", flush=True)
    print("| change | strength | images a day | share changed | found after (median) |\n|---|---|---|---|---|")
    few = max(10, asked.months // 5)
    for name, changes in CHANGES.items():
        for strength, change in changes:
            changed, _ = data.seen(change(data.pixels))
            kept[f"{name} {strength}"] = changed.sketches
            told(name, strength, 100, 1.0, months(data, 100, few, changed, 1.0, rng)[1])
    if asked.others is not None:
        files = sorted(asked.others.rglob("*.jpg"))[:1000]
        changed, _ = data.seen(np.stack([data.model.pixels(file) for file in files]))
        kept[asked.others.name] = changed.sketches
        for share in (0.02, 0.05, 0.2, 1.0):
            told("other images", asked.others.name, 100, share, months(data, 100, few, changed, share, rng)[1])
    one = some(data.images, np.flatnonzero(data.targets == 0))
    for share in (0.05, 0.1, 0.3):
        told("changed mix", "more of one class", 100, share, months(data, 100, few, one, share, rng)[1])
    if asked.keep is not None:
        np.savez(asked.keep, **kept)
    if not data.folds:
        estimates(data, rng, asked.months)


if __name__ == "__main__":
    main()
