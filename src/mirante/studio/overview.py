"""What can be taken in at a glance: a mosaic of a collection, a run's right and wrong answers, its confusions as pictures, its map."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from mirante.errors import DataError, RequestError
from mirante.run import Run
from mirante.studio import answers, collections, listing
from mirante.studio.pages import Visit

MOSAIC = 12
SAMPLE = 6  # right answers, and as many wrong ones
MAPPED = 1500  # test images on a map, drawn at random
Thing = TypeVar("Thing")


def mosaic(asked: Visit) -> dict[str, Any]:
    """Return some images of a collection, taken from its classes in turn, and how many it holds; none before any is labelled."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    try:
        kept = [item for item in listing.listing(one).items if not item.left_out]
    except DataError:
        kept = []
    by_class: dict[str | None, list[str]] = defaultdict(list)
    for item in kept:
        by_class[item.label].append(item.path)
    turns = [_spread(paths, MOSAIC) for paths in by_class.values()]
    paths = [turn[at] for at in range(MOSAIC) for turn in turns if at < len(turn)]
    return {"paths": paths[:MOSAIC], "count": len(kept), "classes": len(by_class)}


def sample(asked: Visit) -> dict[str, Any]:
    """Return some right and some wrong answers of a run to its test images, spread over the classes."""
    run = Run(asked.workspace.run(asked.parts["name"]))
    if not run.info.asks.has_pages:
        return {"right": [], "wrong": []}
    rows = list(run.predictions())
    return {
        key: [
            {"path": one.path, "row": one.number}
            for one in _spread([one for one in rows if one.right is right], SAMPLE)
        ]
        for key, right in (("right", True), ("wrong", False))
    }


def cells(asked: Visit) -> dict[str, Any]:
    """Return for each cell of the confusion matrix the path of its most confident image."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    best: dict[tuple[str, str], Any] = {}
    for one in opened.answers:
        known = best.get((one.label, one.predicted))
        if known is None or one.confidence > known.confidence:
            best[one.label, one.predicted] = one
    return {"cells": [{"label": label, "predicted": told, "path": one.path} for (label, told), one in best.items()]}


def layout(asked: Visit) -> dict[str, Any]:
    """Return the places of test images on the map, each from 0 to 1, and what is known about them. Raises RequestError."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    if opened.model.asks.several_labels:
        raise RequestError(f"{opened.path.name}: a map shows images with one class each.")
    rows = opened.answers
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:MAPPED])
    shown = [rows[at] for at in chosen]
    places = opened.map_of([one.path for one in shown])
    classes = list(opened.info.classes)
    points = [
        {
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "row": one.number,
            "path": one.path,
            "label": classes.index(one.label) if one.label in classes else -1,
            "predicted": one.predicted,
            "right": bool(one.right),
            "confidence": float(one.confidence),
        }
        for one, (x, y) in zip(shown, places, strict=True)
    ]
    return {"points": points, "classes": classes, "of": len(rows)}


def _spread(things: Sequence[Thing], count: int) -> list[Thing]:
    """Return so many things at equal distances, or all if there are fewer."""
    if len(things) <= count:
        return list(things)
    return [things[round(at * (len(things) - 1) / (count - 1))] for at in range(count)]


OVERVIEWS = {
    "/api/data/{name}/mosaic": mosaic,
    "/api/results/{name}/sample": sample,
    "/api/results/{name}/cells": cells,
    "/api/results/{name}/map": layout,
}
