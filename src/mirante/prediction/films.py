"""Films through a model: the answers for their frames, and their timelines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.films import Sampling, are_cuts, duration, parted, scene_end, small_picture
from mirante.errors import ImageError
from mirante.images import Pixels
from mirante.timeline import SWITCH, Stretch, stretches

if TYPE_CHECKING:
    from mirante.model_info import ModelInfo


_MOST_WEIGHT = 10.0  # intervals that a picture which stands still counts as, at most


class Timelines:
    """Gathers the answers for frames as they come, and tells the timeline of each film."""

    def __init__(self, info: ModelInfo, sampling: Sampling) -> None:
        self._info, self._sampling = info, sampling
        self._answers: dict[str, tuple[list[float], list[Any]]] = {}
        self._changes: dict[str, list[float]] = {}
        self._last: dict[str, NDArray[np.float32]] = {}
        self._ends: dict[str, float] = {}
        self._cut: set[str] = set()

    def add(self, path: str | None, answer: Any, pixels: Pixels | None) -> None:
        """Take in the answer for an image, if it is a frame, and the pixels that the network saw, uint8 (H, W, C)."""
        if path is not None and (frame := parted(path)) is not None:
            times, answers = self._answers.setdefault(frame[0], ([], []))
            if times and frame[1] <= times[-1]:
                return  # the film was given twice
            times.append(frame[1])
            answers.append(answer)
            change = 0.0
            if pixels is not None:
                small = small_picture(pixels)
                change = float(np.abs(small - self._last.get(frame[0], small)).mean())
                self._last[frame[0]] = small
            self._changes.setdefault(frame[0], []).append(change)
            if (end := scene_end(path)) is not None:
                self._ends[frame[0]] = end

    def add_failure(self, path: str | None) -> None:
        """Take in that an image, or a film, cannot be read to its end."""
        self._cut.add(path or "")

    def films(self) -> list[str]:
        """Return the films, as they were named."""
        return list(self._answers)

    def of(self, film: str) -> list[Stretch]:
        """Return the stretches of a film."""
        times, answers = self._answers[film]
        tracks = self._info.asks.tracks(answers, self._info)
        begins, end = self._parts(film, times)
        weights = np.clip(
            np.diff([*begins, end]) / self._sampling.interval, 1, _MOST_WEIGHT
        )  # a picture may stand still
        cuts = are_cuts(np.array(self._changes[film]))
        switch = 0 if self._sampling.scenes else np.where(cuts, 0, SWITCH)
        return stretches(film, begins, end, tracks, self._info.asks.one_class, switch, weights)

    def all(self) -> Iterator[Stretch]:
        """Yield the stretches of all films."""
        for film in self._answers:
            yield from self.of(film)

    def _parts(self, film: str, times: list[float]) -> tuple[list[float], float]:
        """Return when the part of the film begins that each frame stands for, and when the last one ends."""
        if film in self._ends:
            return times, self._ends[film]
        try:
            length = None if film in self._cut else duration(Path(film).expanduser())
        except ImageError:
            length = None
        return times, length if length is not None and length > times[-1] else times[-1] + self._sampling.interval
