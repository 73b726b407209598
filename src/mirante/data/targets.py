"""What a task makes of labels: numbers to train towards, and what splits and notes need to know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.data.labels import Labelled


@dataclass(frozen=True)
class LabelOptions:
    """What is asked of labels.

    classes   the classes that the person wants, in that order; None for all
    official  the order that the source gives; None sorts the names
    model     the classes of a model to be tested, among which the labels must be; None for none
    length    characters of the longest text; None takes that of the longest one
    lenient   make classes one whose names differ only by case or spaces
    """

    classes: Sequence[str] | None = None
    official: tuple[str, ...] | None = None
    model: Sequence[str] | None = None
    length: int | None = None
    lenient: bool = False


@dataclass(frozen=True)
class Targets:
    """What came of N labels.

    rows     the images that are wanted, in order
    classes  names, in the order of the numbers
    values   (N, …) class numbers
    alike    (N,) numbers, the same for the same label
    strata   names of what splits share out evenly, and (N,) which of them each image belongs to
    groups   N names of what the labels themselves say belongs together, or None
    merged   pairs of class names that were made one, the kept name first
    """

    rows: list[Labelled]
    classes: tuple[str, ...]
    values: NDArray[np.int64]
    alike: NDArray[np.int64]
    strata: tuple[tuple[str, ...], NDArray[np.int64]]
    groups: tuple[str, ...] | None = None
    merged: tuple[tuple[str, str], ...] = ()
