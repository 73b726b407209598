"""The ranking of models: accuracy on the same test images, cost, and which differences are within the noise."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError, RunError
from mirante.evaluation.metrics import wilson
from mirante.prediction.onnx_model import BATCH, OnnxModel
from mirante.predictions import Predictions
from mirante.run import Run


@dataclass(frozen=True)
class Ranked:
    """One model of the ranking.

    accuracy, low, high   on the test images that all runs share, with Wilson's 95% interval
    parameters            of its network
    seconds               training time, or None
    images_per_second     speed of its ONNX file on this machine, excluding decoding
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


def _tested(run: Run, table: Predictions) -> dict[str, tuple[str, str]]:
    """Return path → label and digest of the images that a run was tested on."""
    digests = run.digests
    return {path: (label, digests.get(path, "")) for path, label in zip(table.paths, table.labels, strict=True)}


def compare(runs: Sequence[str | Path | Run]) -> list[Ranked]:
    """Return the runs, best first. Raises RunError when they were not tested on the same images."""
    if isinstance(runs, (str, os.PathLike)):
        raise RequestError("compare takes a list of runs.")
    opened = [one if isinstance(one, Run) else Run(one) for one in runs]
    if len({run.path.resolve() for run in opened}) < len(opened):
        raise RunError("A run is named twice; name each run only once.")
    tables = [run.predictions() for run in opened]
    tested = [_tested(run, one) for run, one in zip(opened, tables, strict=True)]
    for run, one in zip(opened[1:], tested[1:], strict=True):
        if one != tested[0]:
            shared = len(one.items() & tested[0].items())
            raise RunError(
                f"{run.path}: tested on different images from {opened[0].path} ({shared} in common); only models tested on "
                "the same images can be ranked. `mirante evaluate RUN DATA` tests a run on other data."
            )
    found = [dict(zip(one.paths, one.right.tolist(), strict=True)) for one in tables]
    right = [np.array([one[path] for path in tables[0].paths]) for one in found]
    speeds = _speeds([run.model() for run in opened])
    order = sorted(range(len(opened)), key=lambda number: -int(right[number].sum()))
    p_values = [1.0 if number == order[0] else mcnemar(right[order[0]], right[number]) for number in order]
    ranked = []
    for number, p_value, near in zip(order, p_values, _within_noise(p_values), strict=True):
        run = opened[number]
        accuracy = wilson(int(right[number].sum()), len(tables[0]))
        seconds = run.history[-1].seconds if run.history else None
        ranked.append(
            Ranked(
                str(run.path),
                accuracy.value,
                accuracy.low,
                accuracy.high,
                len(tables[0]),
                run.parameters,
                seconds,
                speeds[number],
                p_value,
                near,
            )
        )
    return ranked


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value that two models with these right answers (N,) are equally good.

    McNemar 1947, in its exact binomial form. It assumes that images are independent.
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


def _speeds(classifiers: Sequence[OnnxModel], rounds: int = 5) -> list[float]:
    """Return the images per second of each; they take turns and the median counts, since the speed of machines drifts."""
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
