"""How the images of a data set are shown: the window for numbers that are not bytes, chosen from training images, and the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.entries import Source
from mirante.data.labels import Labelled
from mirante.data.notes import Note
from mirante.errors import ImageError
from mirante.images import read_values
from mirante.rendering import ASKED, Rendering, Window, choose_window

_LOOKED_AT = 100  # training images from whose values the window is chosen


def choose_rendering(
    source: Source,
    rows: Sequence[Labelled],
    splits: NDArray[np.str_],
    window: str | None,
    page: int,
    of_model: bool = False,
) -> tuple[Rendering, str, list[Note]]:
    """Return how the images are shown, why, and what the user should know about it.

    window    as the user wrote it, or a model has it; None chooses it, without looking at test images
    of_model  whether the window is that of a model
    """
    deep = [number for number, row in enumerate(rows) if row.image.depth != "bytes"]
    chosen, because = Window(), ""
    if window is not None:
        chosen, because = Window.parse(window), "that of the model" if of_model else ASKED
        chosen = replace(chosen, asked=not of_model)
    elif deep:
        learned = [number for number in deep if splits[number] != "test"] or deep
        spread = np.unique(np.linspace(0, len(learned) - 1, _LOOKED_AT).astype(int)).tolist()
        few = {rows[learned[place]].image.path for place in spread}
        chosen, because = choose_window(_values(source, few, page))
    notes = []
    if deep:
        text = "Images whose numbers are not bytes: {count}. They are shown through the window “{window}” ({property})."
        notes.append(Note(text, {"count": len(deep), "window": str(chosen), "property": because}, None))
    several = [row.image.pages for row in rows if row.image.pages > 1]
    if several:
        if page:
            text = "Images of several pages or frames: {count}, with up to {most}. Page {page} of each is used."
        else:
            text = (
                "Images of several pages or frames: {count}, with up to {most}. The first is used, of DICOM the middle one; "
                "--page chooses another."
            )
        notes.append(Note(text, {"count": len(several), "most": max(several), "page": page}, None))
    return Rendering(chosen, page), because, notes


def _values(source: Source, paths: set[str], page: int) -> Iterator[NDArray[Any]]:
    for entry in source.entries():
        if entry.path in paths:
            try:
                yield read_values(entry.content(), page)
            except ImageError:  # it is named when it is decoded
                continue
