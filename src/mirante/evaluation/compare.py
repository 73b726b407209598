"""The ranking of models: accuracy on the same test images, cost, and which differences are within the noise."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.errors import RunError
from mirante.evaluation.metrics import wilson
from mirante.prediction.onnx_model import BATCH, OnnxModel


@dataclass(frozen=True)
class Ranked:
    """One model of the ranking.

    accuracy, low, high   on the test images that all the runs share, with Wilson's 95% interval
    parameters            of its network
    seconds               that its training took, or None
    images_per_second     that its ONNX file answers on this machine, decoding aside
    p_value               of the exact McNemar test against the best model; 1 for the best itself
    within_noise          whether that difference could be chance (p ≥ 0.05, Holm's correction for several models)
    """

    run: str
    accuracy: float
    low: float
    high: float
    images: int
    parameters: int
    seconds: float | None
    images_per_second: float
    p_value: float
    within_noise: bool


def compare(runs: Sequence[Path]) -> list[Ranked]:
    """Return the runs, best first. Raises RunError when they were not tested on the same images."""
    if len({run.resolve() for run in runs}) < len(runs):
        raise RunError("A run is named twice; each is compared once.")
    answers = [_read_answers(run) for run in runs]
    for run, one in zip(runs[1:], answers[1:], strict=True):
        if one.keys() != answers[0].keys() or any(one[path][0] != answers[0][path][0] for path in one):
            shared = len(one.keys() & answers[0].keys())
            raise RunError(
                f"{run}: tested on other images than {runs[0]} ({shared} in common); only models that answered the same "
                "test images can be ranked. `mirante evaluate RUN DATA` tests a run on other data."
            )
    paths = list(answers[0])
    right = [np.array([one[path][0] == one[path][1] for path in paths]) for one in answers]
    speeds = _speeds([OnnxModel(run) for run in runs])
    order = sorted(range(len(runs)), key=lambda number: -int(right[number].sum()))
    best = right[order[0]]
    p_values = [1.0 if number == order[0] else mcnemar(best, right[number]) for number in order]
    near = _within_noise(p_values)
    ranked = []
    for place, number in enumerate(order):
        accuracy = wilson(int(right[number].sum()), len(paths))
        ranked.append(
            Ranked(
                str(runs[number]),
                accuracy.value,
                accuracy.low,
                accuracy.high,
                len(paths),
                _parameters(runs[number]),
                _seconds(runs[number]),
                speeds[number],
                p_values[place],
                near[place],
            )
        )
    return ranked


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value that two models with these right answers (N,) are equally good.

    McNemar 1947, in its exact binomial form. It takes the images as independent.
    """
    from scipy.stats import binomtest

    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    if only_one + only_other == 0:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def _within_noise(p_values: list[float]) -> list[bool]:
    """Return which differences from the best could be chance; the first p-value is the best's own (Holm 1979)."""
    near = [True] * len(p_values)
    tested = sorted(range(1, len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(tested):
        if p_values[place] * (len(tested) - rank) >= 0.05:
            break
        near[place] = False
    return near


def _read_answers(run: Path) -> dict[str, tuple[str, str]]:
    """Return path → (label, predicted) of a run's test images."""
    lines = csv.DictReader(runfolder.read_text(run, runfolder.PREDICTIONS).splitlines())
    try:
        return {line["path"]: (line["label"], line["predicted"]) for line in lines}
    except KeyError as error:
        raise RunError(
            f"{run / runfolder.PREDICTIONS}: damaged: no column {error}; mirante evaluate {run} mends it."
        ) from error


def _parameters(run: Path) -> int:
    from safetensors import safe_open

    try:
        with safe_open(run / runfolder.WEIGHTS, "np") as weights:
            names = [name for name in weights.keys() if not name.endswith("num_batches_tracked")]  # noqa: SIM118
            return sum(int(np.prod(weights.get_slice(name).get_shape())) for name in names)
    except Exception as error:
        raise RunError(f"{run / runfolder.WEIGHTS}: missing or damaged; train the model again.") from error


def _seconds(run: Path) -> float | None:
    last = runfolder.read_text(run, runfolder.HISTORY).splitlines()[-1].split(",")
    return float(last[2]) if len(last) > 2 and last[0].isdigit() else None


def _speeds(classifiers: Sequence[OnnxModel], rounds: int = 5) -> list[float]:
    """Return the images a second of each; they take turns, and the median round counts, since machines drift."""
    batches = [
        np.random.default_rng(0).integers(0, 256, (BATCH, *one.info.size, one.info.channels), dtype=np.uint8)
        for one in classifiers
    ]
    for one, batch in zip(classifiers, batches, strict=True):
        one.run(batch)
    taken: list[list[float]] = [[] for _ in classifiers]
    for _ in range(rounds):
        for number, (one, batch) in enumerate(zip(classifiers, batches, strict=True)):
            began = time.perf_counter()
            one.run(batch)
            taken[number].append(time.perf_counter() - began)
    return [BATCH / float(np.median(seconds)) for seconds in taken]
