"""What a task makes from labels: numeric targets, and what splits and notes need to know about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mirante.data.labels import Labelled


@dataclass(frozen=True)
class LabelOptions:
    """Options for labels.

    classes   the classes that the user wants, in that order; None for all
    ordered   the classes from the least grade to the most, for classes with an order; None where there is none
    official  the order that the source gives; None sorts the names
    model     the classes of a model to be tested, among which the labels must be; None for none
    length    maximum characters of a text; None takes the longest one's
    lost      class → why, of classes none of whose images can be read
    lenient   merge classes whose names differ only by case or spaces
    """

    classes: Sequence[str] | None = None
    ordered: Sequence[str] | None = None
    official: tuple[str, ...] | None = None
    model: Sequence[str] | None = None
    length: int | None = None
    lenient: bool = False
    lost: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """What N labels became.

    rows     the wanted images, in order
    classes  names, in the order of the numbers
    values   (N, …) class numbers; for several labels, (N, labels): 1 yes, 0 no, -1 not known
    alike    (N,) numbers, the same for the same label
    strata   names of the strata that splits divide evenly, and (N,) the stratum of each image; or (N, names), above 0 where it
             belongs to one
    groups   N names of groups that the labels themselves imply, or None
    merged   pairs of class names that were merged, the kept name first
    """

    rows: list[Labelled]
    classes: tuple[str, ...]
    values: NDArray[np.int64]
    alike: NDArray[np.int64]
    strata: tuple[tuple[str, ...], NDArray[np.int64]]
    groups: tuple[str, ...] | None = None
    merged: tuple[tuple[str, str], ...] = ()
