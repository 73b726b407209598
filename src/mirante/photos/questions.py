"""Which photos to ask a person about: those whose answers help most, and some drawn at random, which tell how good the model is.

One question in five is drawn at random from all photos not yet asked about: the share of them that the model gets right is an
unbiased estimate, and `learn` keeps them apart. The others are single photos, uncertain and unlike each other (BADGE: Ash, Zhang,
Krishnamurthy, Langford, Agarwal, ICLR 2020); now and then several at once that clearly look like one class, and answers that the
model doubts, asked again. benchmarks/photos.py compares ways of choosing, also when every click counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.data.features import Features, unit_rows
from mirante.photos.library import Kind

RANDOM_EVERY = 5
TOGETHER_EVERY = 8
_TOGETHER = 24  # photos of one question, at most
_LEAST_TOGETHER = 4
_SURE = 0.9  # least probability of a photo that is asked about together with others
_DOUBTED = 0.02  # probability of the class that a person gave, below which it is asked again
_CANDIDATES = 2000  # the most uncertain photos, among which single questions are chosen


@dataclass(frozen=True)
class Question:
    """Is this an X? Or: are all of these X?

    rows   of the photos
    label  the number of the class that is asked about
    again  whether the person has answered it before, and the model doubts the answer
    """

    rows: tuple[int, ...]
    label: int
    kind: Kind
    again: bool = False


def choose(
    features: Features,
    probabilities: NDArray[np.floating],
    answered: Mapping[int, int | None],
    count: int,
    random: np.random.Generator,
    aside: frozenset[int] = frozenset(),
    begun: int = 0,
    apart: NDArray[np.bool_] | None = None,
) -> list[Question]:
    """Return `count` questions about N photos, fewer when they run out.

    features (N, width) and probabilities (N, classes) of the photos, as the model has them now
    answered  row → class number, None for "not sure"
    aside     rows that were skipped, not to be asked about now
    begun     how many questions were asked before, so that every fifth one is drawn at random
    apart     (N,) the photos that only questions drawn at random are about; None draws them from all
    """
    open_rows = np.array(
        [row for row in range(len(features)) if row not in answered and row not in aside], dtype=np.int64
    )
    drawn_from = open_rows if apart is None else open_rows[apart[open_rows]]
    open_rows = open_rows if apart is None else open_rows[~apart[open_rows]]
    used: set[int] = set()
    directions = unit_rows(features)
    single = iter(_uncertain(directions, probabilities, open_rows, count, random))
    drawn = iter(random.permutation(drawn_from).tolist())
    others = iter(random.permutation(open_rows).tolist())
    doubted = iter(_doubted(probabilities, answered, aside))
    questions: list[Question] = []
    for number in range(begun, begun + count):
        question = None
        if number % RANDOM_EVERY == 0:
            row = next((row for row in drawn if row not in used), None)
            question = None if row is None else Question((row,), int(probabilities[row].argmax()), "random")
        elif number % (RANDOM_EVERY * TOGETHER_EVERY) == RANDOM_EVERY + 1 and (row := next(doubted, None)) is not None:
            question = Question((row,), int(probabilities[row].argmax()), "chosen", again=True)
        elif number % TOGETHER_EVERY == 2:
            question = _together(
                directions, probabilities, [row for row in open_rows.tolist() if row not in used], random
            )
        if question is None:
            row = next((row for row in single if row not in used), None)
            row = row if row is not None else next((row for row in others if row not in used), None)
            kind: Kind = "chosen"
            if row is None:  # only photos that are kept apart are left
                row, kind = next((row for row in drawn if row not in used), None), "random"
            if row is None:
                break
            question = Question((row,), int(probabilities[row].argmax()), kind)
        used.update(question.rows)
        questions.append(question)
    return questions


def _uncertain(
    directions: Features,
    probabilities: NDArray[np.floating],
    rows: NDArray[np.int64],
    count: int,
    random: np.random.Generator,
) -> list[int]:
    """Return rows whose loss would move the last layer far and in different ways: k-means++ on its gradients.

    The gradient of one photo is (probabilities - its likeliest class) ⊗ features, so that products of gradients are products of
    two small ones.
    """
    if not len(rows):
        return []
    order = np.argsort(probabilities[rows].max(axis=1), kind="stable")[:_CANDIDATES]
    rows = rows[order]
    errors = probabilities[rows].astype(np.float64)
    errors[np.arange(len(rows)), errors.argmax(axis=1)] -= 1
    seen = directions[rows]
    sizes = (errors**2).sum(axis=1)
    distance = np.full(len(rows), np.inf)
    place = int(sizes.argmax())
    chosen = []
    for _ in range(min(count, len(rows))):
        chosen.append(place)
        alike = (errors @ errors[place]) * (seen @ seen[place])
        distance = np.minimum(distance, np.maximum(sizes + sizes[place] - 2 * alike, 0))
        distance[chosen] = 0
        if distance.sum() <= 0:
            break
        place = int(random.choice(len(rows), p=distance / distance.sum()))
    found: list[int] = rows[chosen].tolist()
    return found


def _together(
    directions: Features, probabilities: NDArray[np.floating], rows: list[int], random: np.random.Generator
) -> Question | None:
    """Return photos that look like one class and like each other, around one of middling confidence; None for too few."""
    best = probabilities.max(axis=1)
    sure = np.array([row for row in rows if best[row] >= _SURE], dtype=np.int64)
    if len(sure) < _LEAST_TOGETHER:
        return None
    first = int(sure[random.integers(len(sure))])
    label = int(probabilities[first].argmax())
    same = sure[probabilities[sure].argmax(axis=1) == label]
    if len(same) < _LEAST_TOGETHER:
        return None
    nearest = same[np.argsort(-(directions[same] @ directions[first]), kind="stable")[:_TOGETHER]]
    return Question(tuple(nearest.tolist()), label, "together")


def _doubted(
    probabilities: NDArray[np.floating], answered: Mapping[int, int | None], aside: frozenset[int]
) -> list[int]:
    found = [
        (float(probabilities[row, label]), row)
        for row, label in answered.items()
        if label is not None
        and row not in aside
        and label < probabilities.shape[1]
        and probabilities[row, label] < _DOUBTED
    ]
    return [row for _, row in sorted(found)]
