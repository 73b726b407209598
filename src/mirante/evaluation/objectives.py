"""What a training should achieve besides the network: a threshold for an aim, predictive values, how much a seed matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from typing import Any

from mirante.errors import RequestError


@dataclass(frozen=True)
class Aim:
    """The user's aim for decisions about one class, the positive one, against all others: one of three.

    sensitivity  share of the positive images that must be found
    specificity  share of the others that must be correctly rejected
    miss, false_alarm  what each mistake costs, in any common unit; the mean cost is minimised
    """

    sensitivity: float | None = None
    specificity: float | None = None
    miss: float | None = None
    false_alarm: float | None = None

    def __post_init__(self) -> None:
        costs = (self.miss, self.false_alarm)
        asked = (
            (self.sensitivity is not None) + (self.specificity is not None) + any(cost is not None for cost in costs)
        )
        if asked != 1:
            raise RequestError("a threshold can have only one aim: --sensitivity, --specificity or --cost.")
        for name, value in asdict(self).items():
            if value is not None and not isinstance(value, Real):
                raise RequestError(f"{name}={value!r}: must be a number, such as 0.9.")
        for name in ("sensitivity", "specificity"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise RequestError(f"--{name} {share:g}: must be a share between 0 and 1, such as 0.9 or 90%.")
        if any(cost is not None for cost in costs) and not all(cost is not None and 0 < cost < 1e9 for cost in costs):
            raise RequestError("--cost needs both costs, each above 0: miss=10,false-alarm=1")


@dataclass(frozen=True)
class Objectives:
    """The objectives of a training.

    positive    the class compared with all others: the second of two; with more classes, none unless it is named
    aim         what its threshold should achieve, or None for no threshold
    aims        of several labels, (label, aim) for those that have an aim of their own
    prevalence  share of positive images where the model will be used, if it is known
    even        answer rare classes more often when classes are very unequal
    repeats     how many trainings, each with its own seed (and folds), show how much chance matters; the first one is kept
    """

    positive: str | None = None
    aim: Aim | None = None
    aims: tuple[tuple[str, Aim], ...] = ()
    prevalence: float | None = None
    even: bool = True
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.prevalence is not None and not isinstance(self.prevalence, Real):
            raise RequestError(f"prevalence={self.prevalence!r}: must be a number, such as 0.02.")
        if not isinstance(self.repeats, Integral) or not isinstance(self.even, bool):
            raise RequestError("repeats must be a whole number, and even True or False.")

    def of(self, classes: Sequence[str]) -> Objectives:
        """Return the objectives for these classes. Raises RequestError when it does not fit them."""
        if self.aims:
            raise RequestError("--aims: a table of aims is for several labels, with --task tag.")
        positive = self.positive or (classes[1] if len(classes) == 2 else None)
        if positive is not None and positive not in classes:
            raise RequestError(f"--positive {positive}: no such class; the classes are {', '.join(classes[:20])}.")
        if positive is None and (self.aim is not None or self.prevalence is not None):
            raise RequestError(
                f"a threshold or a prevalence is for one of the {len(classes)} classes: name it with --positive."
            )
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise RequestError(
                f"--prevalence {self.prevalence:g}: must be a share between 0 and 1, such as 0.02 or 2%."
            )
        if not 1 <= self.repeats <= 20:
            raise RequestError(f"--repeats {self.repeats}: must be from 1 to 20.")
        return replace(self, positive=positive)

    def to_dict(self) -> dict[str, Any]:
        """Return what a TOML file takes; `from_dict` reads it back."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if self.aim is not None:
            values["aim"] = _given(self.aim)
        values.pop("aims", None)
        return values | ({"aims": {label: _given(aim) for label, aim in self.aims}} if self.aims else {})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Objectives:
        aim = Aim(**values["aim"]) if "aim" in values else None
        aims = tuple((label, Aim(**one)) for label, one in values.get("aims", {}).items())
        return cls(**{**values, "aim": aim, "aims": aims})


def _given(aim: Aim) -> dict[str, float]:
    return {name: value for name, value in asdict(aim).items() if value is not None}
