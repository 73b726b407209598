"""What a training is to reach and to prove beside the network: a threshold for an aim, predictive values, how much a seed matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mirante.errors import RequestError


@dataclass(frozen=True)
class Aim:
    """What a person wants of the decisions for one class, the positive one, against all others: one of three things.

    sensitivity  share of the positive images that must be found
    specificity  share of the others that must be left in peace
    miss, false_alarm  what each mistake costs, in any one unit; the mean cost is made least
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
            raise RequestError("a threshold has one aim: --sensitivity, --specificity or --cost.")
        for name in ("sensitivity", "specificity"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise RequestError(f"--{name} {share:g}: it is a share between 0 and 1, as 0.9 or 90%.")
        if any(cost is not None for cost in costs) and not all(cost is not None and 0 < cost < 1e9 for cost in costs):
            raise RequestError("--cost needs both costs, each above 0: miss=10,false-alarm=1")


@dataclass(frozen=True)
class Objectives:
    """What is asked for.

    positive    the class that the others are held against: one of two is the second; of more there is none unless it is named
    aim         what its threshold is to reach, or None for no threshold
    prevalence  share of positive images where the model will be used, if it is known
    even        answer rare classes more often where classes are very unequal
    repeats     how many trainings, each with a seed (and folds) of its own, tell how much chance matters; the first one stays
    """

    positive: str | None = None
    aim: Aim | None = None
    prevalence: float | None = None
    even: bool = True
    repeats: int = 1

    def of(self, classes: Sequence[str]) -> Objectives:
        """Return the objectives for these classes. Raises RequestError when it does not fit them."""
        positive = self.positive or (classes[1] if len(classes) == 2 else None)
        if positive is not None and positive not in classes:
            raise RequestError(f"--positive {positive}: no such class; they are {', '.join(classes[:20])}.")
        if positive is None and (self.aim is not None or self.prevalence is not None):
            raise RequestError(
                f"a threshold or a prevalence is of one class among {len(classes)}: name it with --positive."
            )
        if self.prevalence is not None and not 0 < self.prevalence < 1:
            raise RequestError(f"--prevalence {self.prevalence:g}: it is a share between 0 and 1, as 0.02 or 2%.")
        if not 1 <= self.repeats <= 20:
            raise RequestError(f"--repeats {self.repeats}: it can be 1 to 20.")
        return replace(self, positive=positive)

    def to_dict(self) -> dict[str, Any]:
        """Return what a TOML file takes; `from_dict` reads it back."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        if self.aim is not None:
            values["aim"] = {name: value for name, value in asdict(self.aim).items() if value is not None}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Objectives:
        aim = Aim(**values["aim"]) if "aim" in values else None
        return cls(**{**values, "aim": aim})
