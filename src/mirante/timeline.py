"""The timeline of a film: stretches of one answer, from the answers for its frames.

A hidden Markov model smooths them: an answer is kept as long as changing it is not worth what it costs, each frame counting with its
probabilities (Viterbi 1967). A change costs nothing where the picture changes at once. benchmarks/films.py compares costs on films
whose cuts are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SWITCH = 2.0
"""What a change of the answer costs, in nats: as much as a frame whose probability is e² times smaller."""

_FLOOR = 0.02  # the least probability that a frame can give an answer: no single frame decides


@dataclass(frozen=True)
class Track:
    """One question that every frame of a film answers.

    answers  the S possible answers; None for "none of these" or for a label that is not there
    shares   (frames, S) the probability of each
    weighed  (frames, S) what the smoothing takes in their place; None for the same
    """

    answers: tuple[str | None, ...]
    shares: NDArray[np.floating]
    weighed: NDArray[np.floating] | None = None


@dataclass(frozen=True)
class Stretch:
    """A part of a film with one answer.

    film        as it was named
    begin, end  seconds from the first frame
    label       the answer; None where the frames show none of the classes
    confidence  its mean probability over the frames
    frames      how many frames were looked at
    """

    film: str
    begin: float
    end: float
    label: str | None
    confidence: float
    frames: int

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes."""
        return {
            **asdict(self),
            "begin": round(self.begin, 3),
            "end": round(self.end, 3),
            "confidence": round(self.confidence, 6),
        }


def stretches(
    film: str,
    begins: Sequence[float],
    end: float,
    tracks: Sequence[Track],
    absent: bool,
    switch: float | NDArray[np.floating] = SWITCH,
    weights: NDArray[np.floating] | None = None,
) -> list[Stretch]:
    """Return the stretches of a film, in order of time; those of several tracks may overlap.

    begins  when each frame's part of the film begins, in seconds; `end` of the last
    absent  whether stretches with the answer None are told too
    switch  what a change costs, everywhere or at each frame (frames,); 0 takes each frame as it is
    weights  (frames,) as how many frames each counts; None for one
    """
    found = []
    for track in tracks:
        states = smoothed(track.shares if track.weighed is None else track.weighed, switch, weights)
        changes = np.flatnonzero(np.diff(states)) + 1
        for first, last in zip([0, *changes.tolist()], [*changes.tolist(), len(states)], strict=True):
            state = int(states[first])
            label = track.answers[state]
            if label is not None or absent:
                until = begins[last] if last < len(begins) else end
                sure = float(track.shares[first:last, state].mean())
                found.append(Stretch(film, begins[first], until, label, sure, last - first))
    return sorted(found, key=lambda one: (one.begin, one.end))


def answer_of(found: Sequence[Stretch]) -> tuple[str | None, float]:
    """Return the answer that a film shows for the longest time, and for what share of its time, weighed by its probability.

    >>> answer_of([Stretch("f", 0, 8, "cat", 0.9, 8), Stretch("f", 8, 10, "dog", 0.9, 2)])
    ('cat', 0.72)
    """
    times: dict[str | None, float] = {}
    sure: dict[str | None, float] = {}
    for one in found:
        length = max(0.0, one.end - one.begin)
        times[one.label] = times.get(one.label, 0.0) + length
        sure[one.label] = sure.get(one.label, 0.0) + length * one.confidence
    best = max(times, key=lambda label: times[label])
    return best, round(sure[best] / max(1e-9, sum(times.values())), 9)


def smoothed(
    shares: NDArray[np.floating],
    switch: float | NDArray[np.floating] = SWITCH,
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """Return the answer (frames,) of each frame, so that changes are worth what they cost; shares (frames, answers).

    >>> smoothed(np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]])).tolist()
    [0, 0, 0]
    """
    costs = np.broadcast_to(switch, len(shares))
    evidence = np.log(np.maximum(shares.astype(np.float64), _FLOOR if costs.any() else 1e-12))
    if weights is not None:
        evidence *= weights[:, None]
    came = np.zeros(evidence.shape, np.int64)
    score = evidence[0]
    own = np.arange(evidence.shape[1])
    for frame in range(1, len(evidence)):
        best = int(score.argmax())
        stays = score >= score[best] - costs[frame]
        came[frame] = np.where(stays, own, best)
        score = np.where(stays, score, score[best] - costs[frame]) + evidence[frame]
    states = np.empty(len(evidence), np.int64)
    states[-1] = int(score.argmax())
    for frame in range(len(evidence) - 1, 0, -1):
        states[frame - 1] = came[frame, states[frame]]
    return states


def clock(seconds: float) -> str:
    """Return a moment as players show it.

    >>> clock(3723.5)
    '01:02:03.500'
    """
    whole = round(1000 * seconds)
    return f"{whole // 3_600_000:02d}:{whole // 60_000 % 60:02d}:{whole // 1000 % 60:02d}.{whole % 1000:03d}"


def web_vtt(found: Sequence[Stretch], percent: Any) -> str:
    """Return the stretches as WebVTT (W3C), which players show as subtitles; `percent` writes a probability."""
    return "\n".join(["WEBVTT", "", *_cues(found, percent)])


def _cues(found: Sequence[Stretch], percent: Any) -> Iterator[str]:
    for one in found:
        if one.label:
            text = (
                f"{one.label} ({percent(one.confidence)})".replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
            )
            yield f"{clock(one.begin)} --> {clock(one.end)}\n{' '.join(text.split())}\n"
