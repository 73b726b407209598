"""Draws the plots of a report, on every core where other processes have been made ready while the model was trained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Thread

from matplotlib.figure import Figure

from mirante.evaluation.plots.fonts import numbered
from mirante.evaluation.plots.style import png


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
    """Start the other processes in the background; drawing without this happens in this process."""
    if not _getting_ready and (os.cpu_count() or 1) > 1:
        _getting_ready.append(Thread(target=_start, daemon=True))
        _getting_ready[0].start()


def draw(sketches: Iterable[Sketch | Plot], names: Sequence[str]) -> tuple[Plot, ...]:
    """Return the plots in order; those of the class names that no font can draw are shown by numbers."""
    listed = list(sketches)
    if not _getting_ready:
        return tuple(_drawn(one, names) for one in listed)
    from joblib import Parallel, delayed

    _getting_ready[0].join()
    cores = os.cpu_count() or 1
    return tuple(Parallel(n_jobs=cores, batch_size=1)(delayed(_drawn)(one, names) for one in listed))


def _drawn(one: Sketch | Plot, names: Sequence[str]) -> Plot:
    if isinstance(one, Plot):
        return one
    with numbered(names):
        return Plot(one.name, png(one.figure()), one.alt)


def _start() -> None:
    from joblib import Parallel, delayed

    cores = os.cpu_count() or 1
    Parallel(n_jobs=cores, batch_size=1)(delayed(_wake)() for _ in range(cores))


def _wake() -> None:
    """Import what drawing needs, and draw once, so that the fonts are read."""
    figure = Figure(figsize=(1, 1))
    figure.text(0, 0, "x")
    png(figure)
