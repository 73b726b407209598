"""A figure with its interval, and the figures of a run as they are asked for by name. Computes nothing: that is metrics.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure and its 95% interval; NaN when it is not defined (such as the precision of a class never predicted)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Figure:
        """Return the figure that metrics.json holds; null there is NaN."""
        return cls(*(math.nan if values[name] is None else float(values[name]) for name in ("value", "low", "high")))

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


class Table(Mapping[str, Any]):
    """Figures by name, a class's for example: `table["cat"]` as metrics.json holds it, `table.cat` with its figures typed."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})  # none yet while it is unpickled
        if name not in values:
            raise AttributeError(f"no figure {name!r}; available: {', '.join(values)}")
        return _typed(values[name])

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        figures = {name: found for name, value in self._values.items() if isinstance(found := _typed(value), Figure)}
        if not figures:
            return f"<{type(self).__name__}: {', '.join(self._values)}>"
        return "\n".join(
            f"{name:<20} {one.value:.4f}  ({one.low:.4f} – {one.high:.4f})" for name, one in figures.items()
        )


def _typed(value: Any) -> Any:
    if isinstance(value, dict):
        return Figure.of(value) if {"value", "low", "high"} <= value.keys() else Table(value)
    return value


class Metrics(Table):
    """The figures of a run, as metrics.json holds them; as attributes they are typed: a figure has value, low and high.

    >>> metrics = Metrics({"images": 10, "accuracy": {"value": 0.8, "low": 0.49, "high": 0.94}})
    >>> metrics.accuracy
    Figure(value=0.8, low=0.49, high=0.94)
    >>> metrics["images"], metrics.images
    (10, 10)
    """

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Metrics:
        """Return the figures that metrics.json holds: null is NaN there, but for a positive class that there is not."""
        return cls({name: value if name == "positive" else _without_null(value) for name, value in values.items()})

    @property
    def images(self) -> int:
        """How many images the figures are based on."""
        return int(self._values["images"])

    @property
    def accuracy(self) -> Figure:
        """Share of images answered correctly."""
        return Figure.of(self._values["accuracy"])

    @property
    def ece(self) -> Figure:
        """The expected calibration error."""
        return Figure.of(self._values["ece"])


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_null(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_null(one) for one in value]
    return math.nan if value is None else value
