"""The model before and the one after learning, compared on images that neither saw: may the new one take the old one's place?"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.errors import RunError
from mirante.evaluation.metrics import log_losses
from mirante.experiment.compare import mcnemar
from mirante.photos.features import FeatureExtractor
from mirante.photos.fit import Candidate, Known, output_of
from mirante.predictions import Predictions
from mirante.run import Run

# shares of the images of the old classes (of several labels, of their loss) that a class more may cost: surely, and by chance
_COSTS, _MAY_LOSE = 0.01, 0.02
_CLEARLY = 0.05  # p-value below which a model that knows a class more is worse on the others


@dataclass(frozen=True)
class Compared:
    """Two models, the old and the new, on images that neither saw.

    count   images, or labels of them that are known
    right   how many of them each gets right
    losses  the mean loss in nats of each
    may_replace  whether the new one may take the old one's place
    """

    count: int
    right: tuple[int, int]
    losses: tuple[float, float]
    may_replace: bool


def compare(old: FeatureExtractor, before: Predictions, new: Candidate, jury: Known) -> Compared:
    """Compare two models on the images that the run is judged on, for which `before` is what the old one said, and on more photos."""
    said = []
    for one, predictions in ((old, before), (new.extractor, new.predictions)):
        shares = output_of(one.logits(jury.features[:, 0]), one.info).probabilities
        given = np.concatenate([predictions.given, one.info.asks.answered(shares, one.info)])
        said.append((given, np.concatenate([predictions.probabilities, shares])))
    wanted, classes = np.concatenate([new.predictions.targets, jury.targets]), len(old.info.classes)
    knows_more = len(new.info.classes) > classes
    if not old.info.asks.several_labels:
        right = [given == wanted for given, _ in said]
        of_old = wanted < classes
        as_good = is_as_good(right[0][of_old], right[1][of_old], knows_more)
        losses = [
            float(log_losses(shares[of_old], wanted[of_old]).mean()) if of_old.any() else 0.0 for _, shares in said
        ]
        return Compared(len(wanted), (int(right[0].sum()), int(right[1].sum())), (losses[0], losses[1]), as_good)
    wanted = wanted[:, :classes]  # the old model says nothing of new labels
    right = [given[:, :classes] == wanted for given, _ in said]
    losses = [_loss_of_labels(shares[:, :classes], wanted) for _, shares in said]
    as_good = losses[1] <= losses[0] * (1 + _COSTS * knows_more)
    known = int((wanted >= 0).sum())
    return Compared(known, (int(right[0].sum()), int(right[1].sum())), (losses[0], losses[1]), as_good)


def places_before(new: Predictions, run: Run, before: Predictions, dataset: Dataset) -> NDArray[np.int64]:
    """Return where the images of new predictions, which may have other names since, are in those of the run. Raises RunError."""
    digests = dict(zip(dataset.paths, dataset.digests, strict=True)) | run.digests
    places = defaultdict(list)
    for place, path in enumerate(before.paths):
        places[digests.get(path, "")].append(place)
    wanted = [places[dataset.digests[row]] for row in new.rows.tolist()]
    found = [one.pop(0) for one in wanted if one]
    if not len(found) == len(before) == len(new):
        raise RunError(f"{run.path / runfolder.PREDICTIONS}: damaged, or not for this data; restore it or train again.")
    return np.array(found, np.int64)


def is_as_good(before: NDArray[np.bool_], after: NDArray[np.bool_], knows_more: bool) -> bool:
    """Tell whether a new model may take the old one's place, given which images (N,) of the old classes each gets right.

    One that knows a class more may lose one in a hundred, or where that may be chance (McNemar, exact) one in fifty, and always one:
    a class more makes all others a little harder.
    """
    lost = int(before.sum()) - int(after.sum())
    if not knows_more:
        return lost <= 0
    may_be_chance = lost <= max(1, _MAY_LOSE * len(before)) and mcnemar(before, after) >= _CLEARLY
    return lost <= _COSTS * len(before) or may_be_chance


def _loss_of_labels(shares: NDArray[np.floating], wanted: NDArray[np.int64]) -> float:
    """Return the mean loss in nats of the labels that are known; shares (N, labels) from 0 to 1."""
    right = np.where(wanted > 0, shares, 1 - shares)[wanted >= 0]
    return float(-np.log(np.maximum(right, 1e-7)).mean()) if len(right) else 0.0
