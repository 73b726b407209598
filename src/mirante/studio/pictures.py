"""Pictures that the pages show: thumbnails, images as a network sees them, paths and heat maps.

A person's image is never served as the original file: it is decoded, and the result is encoded again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
from starlette.responses import Response

from mirante.images import Pixels
from mirante.studio import answers, collections, thumbnails
from mirante.studio.pages import Visit

if TYPE_CHECKING:
    from mirante.see.picture import Picture


def thumbnail(asked: Visit) -> Response:
    """A small version of one image of a collection."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    content = thumbnails.thumbnail(asked.workspace, one, asked.query.get("path", ""))
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


def large(asked: Visit) -> Response:
    """One image of a collection, whole, to be looked at by itself."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    content = thumbnails.large(one, asked.query.get("path", ""))
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


def seen(asked: Visit) -> Response:
    """An image of a run's data, as the network sees it."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    content = answers.png(opened.image(asked.query.get("path", "")), 64)
    return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=600"})


def path(asked: Visit) -> Response:
    """The path of a test image through its network."""
    from mirante.see import network

    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    one = answers.find(opened, int(asked.parts["row"]))
    return _png(network.path(opened.inside, opened.image(one.path), asked.say).png())


def heatmap(asked: Visit) -> Response:
    """Where the network looked in a test image."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    one = answers.find(opened, int(asked.parts["row"]))
    return _png(draw_heatmap(asked, opened, opened.image(one.path)).png())


def sample(asked: Visit) -> Response:
    """The photo that comes with scikit-learn, for those who have no image to hand."""
    return _png(_sample())


@lru_cache(maxsize=1)
def _sample() -> bytes:
    from mirante import see

    return answers.png(see.read(None))


def _png(content: bytes) -> Response:
    return Response(content, media_type="image/png")


def draw_heatmap(asked: Visit, opened: answers.Opened, pixels: Pixels) -> Picture:
    """Return the heat map of an image for the class that the address names, or the model's own answer."""
    from mirante.see import network

    label = asked.query.get("class") or None
    return network.heatmap(opened.model, np.asarray(pixels), label, asked.say)


def with_words(picture: Picture) -> Response:
    """Return a picture with its words in a header."""
    return Response(picture.png(), media_type="image/png", headers={"x-alt": quote(picture.alt)})


PICTURES: dict[str, Callable[[Visit], Response]] = {
    "/pictures/sample.png": sample,
    "/pictures/data/{name}/thumbnail": thumbnail,
    "/pictures/data/{name}/large": large,
    "/pictures/results/{name}/seen": seen,
    "/pictures/results/{name}/{row:int}/path": path,
    "/pictures/results/{name}/{row:int}/heatmap": heatmap,
}
