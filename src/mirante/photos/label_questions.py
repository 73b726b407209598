"""Which photos to ask a person about where a photo may have several labels: one label at a time, of many photos at once.

A person marks those that have it; the others do not. Every fifth question shows photos drawn at random from those that are kept apart
(mirante.photos.library.is_kept_apart), which tell how good the model is. Of the others, half show photos that the model is unsure
about and that are unlike each other, half photos that probably have the label.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from mirante.data.features import Features, unit_rows
from mirante.photos.questions import RANDOM_EVERY, Question

TOGETHER = 12
"""Photos of one question, at most."""

_CANDIDATES = 400  # the most uncertain photos, among which those of one question are chosen
_LIKELY = 0.5  # least probability of a photo that probably has a label


def choose_labels(
    features: Features,
    probabilities: NDArray[np.floating],
    known: Set[tuple[int, int]],
    apart: NDArray[np.bool_],
    count: int,
    random: np.random.Generator,
    begun: int = 0,
) -> list[Question]:
    """Return `count` questions about N photos and L labels, fewer when they run out.

    features (N, width) and probabilities (N, L) of the photos, as the model has them now
    known    (row, label) that were answered or skipped, not to be asked about now
    apart    (N,) the photos that only questions drawn at random are about
    begun    how many questions were asked before, so that every fifth one is drawn at random
    """
    directions = unit_rows(features)
    unsure = probabilities * (1 - probabilities)
    open_pairs = np.ones(probabilities.shape, bool)
    for row, label in known:
        open_pairs[row, label] = False
    questions: list[Question] = []
    for number in range(begun, begun + count):
        if not open_pairs.any():
            break
        drawn = number % RANDOM_EVERY == 0
        if not open_pairs[apart == drawn].any():  # none of this kind is left
            drawn = not drawn
        here = open_pairs & (apart == drawn)[:, None]
        some = here.any(axis=0).astype(np.float64)
        spread = some if drawn else (unsure * here).sum(axis=0) + 1e-3 * some
        label = int(random.choice(probabilities.shape[1], p=spread / spread.sum()))
        rows = np.flatnonzero(here[:, label])
        if drawn:
            chosen = random.permutation(rows)[:TOGETHER]
        elif number % 2:
            chosen = _unsure(directions, unsure[:, label], rows)
        else:
            likely = rows[probabilities[rows, label] >= _LIKELY]
            chosen = (
                random.permutation(likely)[:TOGETHER] if len(likely) else _unsure(directions, unsure[:, label], rows)
            )
        open_pairs[chosen, label] = False
        questions.append(Question(tuple(chosen.tolist()), label, "random" if drawn else "together"))
    return questions


def _unsure(directions: Features, unsure: NDArray[np.floating], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return some of the rows that are uncertain and unlike each other: each next one is worth its doubt and its distance."""
    rows = rows[np.argsort(-unsure[rows], kind="stable")[:_CANDIDATES]]
    distance = np.full(len(rows), 2.0)
    chosen: list[int] = []
    for _ in range(min(TOGETHER, len(rows))):
        worth = unsure[rows] * distance
        worth[chosen] = -1.0
        place = int(worth.argmax())
        chosen.append(place)
        distance = np.minimum(distance, np.maximum(1 - directions[rows] @ directions[rows[place]], 1e-6))
    found: NDArray[np.int64] = rows[chosen]
    return found
