"""How the images of a data set are shown: the window for numbers that are not bytes, chosen from training images, and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.entries import Source
from mirante.data.labels import Labelled
from mirante.data.notes import Note
from mirante.errors import ImageError
from mirante.images import read_values
from mirante.rendering import Rendering, Window, choose_window

_LOOKED_AT = 100  # training images from whose values the window is chosen


def choose_rendering(
    source: Source, rows: Sequence[Labelled], splits: NDArray[np.str_], window: str | None, page: int
) -> tuple[Rendering, str, list[Note]]:
    """Return how the images are shown, why, and what the user should know about it.

    window  as the user wrote it; None chooses it, without looking at test images
    """
    deep = [number for number, row in enumerate(rows) if row.image.depth != "bytes"]
    chosen, because = Window(), ""
    if window is not None:
        chosen, because = Window.parse(window), "asked for"
    elif deep:
        learned = [number for number in deep if splits[number] != "test"] or deep
        few = {rows[number].image.path for number in learned[:: max(1, len(learned) // _LOOKED_AT)][:_LOOKED_AT]}
        chosen, because = choose_window(_values(source, few, page))
    notes = []
    if deep:
        text = "Images whose numbers are not bytes: {count}. They are shown through the window {window} ({property})."
        notes.append(Note(text, {"count": len(deep), "window": str(chosen), "property": because}))
    several = [row.image.pages for row in rows if row.image.pages > 1]
    if several:
        if page:
            text = "Images of several pages or frames: {count}, with up to {most}. Page {page} of each is used."
        else:
            text = (
                "Images of several pages or frames: {count}, with up to {most}. The first is used, of DICOM the middle one; "
                "--page chooses another."
            )
        notes.append(Note(text, {"count": len(several), "most": max(several), "page": page}))
    return Rendering(chosen, page), because, notes


def _values(source: Source, paths: set[str], page: int) -> Iterator[NDArray[Any]]:
    for entry in source.entries():
        if entry.path in paths:
            try:
                yield read_values(entry.content(), page)
            except ImageError:  # it is named when it is decoded
                continue
