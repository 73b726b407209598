"""Draws the plots of a report, on several cores where other processes have been made ready while the model was trained."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

from matplotlib.figure import Figure

from mirante.evaluation.plots.fonts import numbered
from mirante.evaluation.plots.style import png

_PROCESSES = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Plot:
    """A plot as PNG bytes, with its alternative text."""

    name: str
    content: bytes
    alt: str


@dataclass(frozen=True)
class Sketch:
    """A plot still to be drawn; `figure` is a function with its arguments (functools.partial) that another process can be sent."""

    name: str
    figure: Callable[[], Figure]
    alt: str


_getting_ready: list[Thread] = []


def get_ready() -> None:
    """Start other processes in the background; without this, plots are drawn in this process."""
    if not _getting_ready and _PROCESSES > 1:
        _getting_ready.append(Thread(target=_start, daemon=True))
        _getting_ready[0].start()


def draw(sketches: Iterable[Sketch | Plot], names: Sequence[str]) -> tuple[Plot, ...]:
    """Return the plots in order; those of the class names that no font can draw are shown by numbers."""
    listed = list(sketches)
    if _getting_ready:
        from joblib import delayed

        _getting_ready[0].join()
        try:
            return tuple(_on_all([delayed(_drawn)(one, names) for one in listed]))
        except Exception:  # no shared memory here, or a process was killed: each its own error
            _getting_ready.clear()
    return tuple(_drawn(one, names) for one in listed)


def _drawn(one: Sketch | Plot, names: Sequence[str]) -> Plot:
    if isinstance(one, Plot):
        return one
    with numbered(names):
        return Plot(one.name, png(one.figure(), one.alt), one.alt)


def _start() -> None:
    from joblib import delayed

    try:
        _on_all([delayed(_wake)() for _ in range(_PROCESSES)])
    except Exception:  # as in draw, which then finds out
        return


def _on_all(calls: list[Any]) -> list[Any]:
    from joblib import Parallel

    found: list[Any] = Parallel(n_jobs=_PROCESSES, batch_size=1)(calls)
    return found


def _wake() -> None:
    """Import what drawing needs, and draw once, so that the fonts are read."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that waits for this one
    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "x")
    png(figure)
