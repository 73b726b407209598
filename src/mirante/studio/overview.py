"""What can be taken in at a glance: a mosaic of a collection, a run's right and wrong answers, its confusions as pictures, its map.

The map lays out test images by what the network sees in them: its last values before the classes, brought to two dimensions by t-SNE
(van der Maaten and Hinton 2008), which keeps neighbours together; distances between far groups mean nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.run import Run
from mirante.studio import answers, collections, listing
from mirante.studio.pages import Visit

MOSAIC = 12
SAMPLE = 6  # right answers, and as many wrong ones
MAPPED = 1500  # test images on a map, drawn at random
_PERPLEXITY = 30
Thing = TypeVar("Thing")


def mosaic(asked: Visit) -> dict[str, Any]:
    """Return some images of a collection, taken from its classes in turn, and how many it holds."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    kept = [item for item in listing.listing(one).items if not item.left_out]
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
        key: [{"path": one.path, "row": one.row} for one in _spread([one for one in rows if one.right is right], SAMPLE)]
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
            "row": one.row,
            "path": one.path,
            "label": classes.index(one.label) if one.label in classes else -1,
            "predicted": one.predicted,
            "right": bool(one.right),
        }
        for one, (x, y) in zip(shown, places, strict=True)
    ]
    return {"points": points, "classes": classes, "of": len(rows)}


def two_dimensions(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return features (N, F) as places (N, 2) from 0 to 1 that keep neighbours together; the same places each time."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = len(features)
    if count < 4:
        return np.stack([np.linspace(0, 1, count), np.full(count, 0.5)], axis=1)
    found = np.asarray(features, np.float64)
    if min(found.shape) > 50:
        found = PCA(50, random_state=0).fit_transform(found)
    spread = min(_PERPLEXITY, (count - 1) / 3)
    laid = TSNE(2, perplexity=spread, init="pca" if min(found.shape) >= 2 else "random", random_state=0).fit_transform(found)
    low, high = laid.min(0), laid.max(0)
    return np.asarray((laid - low) / np.maximum(high - low, 1e-9), np.float64)


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
