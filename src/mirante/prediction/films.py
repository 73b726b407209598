"""Films through a model: the answers for their frames, and their timelines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirante.data.films import Sampling, duration, parted, scene_end
from mirante.errors import ImageError
from mirante.timeline import SWITCH, Stretch, stretches

if TYPE_CHECKING:
    from mirante.model_info import ModelInfo


class Timelines:
    """Gathers the answers for frames as they come, and tells the timeline of each film."""

    def __init__(self, info: ModelInfo, sampling: Sampling) -> None:
        self._info, self._sampling = info, sampling
        self._answers: dict[str, tuple[list[float], list[Any]]] = {}
        self._ends: dict[str, float] = {}

    def add(self, path: str | None, answer: Any) -> None:
        """Take in the answer for an image, if it is a frame."""
        if path is not None and (frame := parted(path)) is not None:
            times, answers = self._answers.setdefault(frame[0], ([], []))
            times.append(frame[1])
            answers.append(answer)
            if (end := scene_end(path)) is not None:
                self._ends[frame[0]] = end

    def films(self) -> list[str]:
        """Return the films, as they were named."""
        return list(self._answers)

    def of(self, film: str) -> list[Stretch]:
        """Return the stretches of a film."""
        times, answers = self._answers[film]
        tracks = self._info.asks.tracks(answers, self._info)
        begins, end = self._parts(film, times)
        return stretches(film, begins, end, tracks, self._info.asks.one_class, 0 if self._sampling.scenes else SWITCH)

    def all(self) -> Iterator[Stretch]:
        """Yield the stretches of all films."""
        for film in self._answers:
            yield from self.of(film)

    def _parts(self, film: str, times: list[float]) -> tuple[list[float], float]:
        """Return when the part of the film begins that each frame stands for, and when the last one ends."""
        if film in self._ends:
            return times, self._ends[film]
        try:
            length = duration(Path(film))
        except ImageError:
            length = None
        end = times[-1] + self._sampling.interval
        return times, min(end, length) if length is not None and length > times[-1] else end
