"""What the page of a film asks for and does: each is a function from a visit (and values) to JSON."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from mirante.data.films import INTERVAL, StillOf
from mirante.errors import RequestError
from mirante.studio import films
from mirante.studio.actions import received
from mirante.studio.pages import Visit
from mirante.studio.workspace import UNCLEAR

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
}
_STILL = 320  # pixels of the larger side


async def upload_film(asked: Visit, stream: AsyncIterator[bytes]) -> dict[str, Any]:
    """Write a film to the studio's memory as it arrives, and begin with its timeline."""
    interval = _number(asked.query.get("interval", str(INTERVAL)))
    run, filename = asked.query.get("run", ""), asked.query.get("filename", "")
    await run_in_threadpool(
        films.require_film, asked.workspace, run, filename, interval
    )  # before the work, not after it
    async with received(asked, stream) as part:
        film = await run_in_threadpool(films.keep_film, asked.workspace, run, filename, interval, part)
    return {"go": f"/films/{quote(film.name, safe='')}"}


def film_progress(asked: Visit) -> dict[str, Any]:
    """Return how far a film's timeline is, and its stretches."""
    return films.progress(asked.workspace, asked.parts["name"], asked.say)


def correct(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Keep what a person says a stretch shows."""
    has, label = values.get("has"), values.get("label")
    if not isinstance(label, str) or has not in (None, -1, 0, 1) or isinstance(has, bool):
        raise RequestError(UNCLEAR)
    at = _number(values.get("begin")), _number(values.get("end"))
    films.correct(asked.workspace, asked.parts["name"], at, label.strip(), has, asked.say)
    return film_progress(asked)


def learn(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Teach the run with what was said."""
    return {"said": films.learn_from_film(asked.workspace, asked.parts["name"], asked.say)}


def again(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Make the timeline again, with the model as it is now."""
    films.begin(asked.workspace, asked.parts["name"])
    return {"reload": True}


def forget(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Forget a film and the copy that was kept of it."""
    films.forget(asked.workspace, asked.parts["name"])
    return {"go": "/predict"}


def video(asked: Visit) -> Response:
    """The film itself, for players that know its kind."""
    path = films.read(asked.workspace, asked.parts["name"]).path(asked.workspace)
    return FileResponse(path, media_type=_TYPES.get(path.suffix, "application/octet-stream"))


def still(asked: Visit) -> Response:
    """One frame of a film, as a small JPEG."""
    film = films.read(asked.workspace, asked.parts["name"])
    image = Image.fromarray(StillOf(film.path(asked.workspace), _number(asked.query.get("t")))())
    image.thumbnail((_STILL, _STILL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return Response(buffer.getvalue(), media_type="image/jpeg")


def subtitles(asked: Visit) -> Response:
    """The timeline as WebVTT."""
    return Response(films.subtitles(asked.workspace, asked.parts["name"], asked.say), media_type="text/vtt")


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(UNCLEAR) from error
    if not 0 <= number < 1e7:
        raise RequestError(UNCLEAR)
    return number


QUESTIONS: dict[str, Callable[[Visit], dict[str, Any]]] = {"/api/films/{name}": film_progress}
ACTIONS: dict[str, Callable[[Visit, dict[str, Any]], dict[str, Any]]] = {
    "/api/films/{name}/correct": correct,
    "/api/films/{name}/learn": learn,
    "/api/films/{name}/again": again,
    "/api/films/{name}/forget": forget,
}
PICTURES: dict[str, Callable[[Visit], Response]] = {
    "/pictures/films/{name}/video": video,
    "/pictures/films/{name}/still": still,
    "/pictures/films/{name}/subtitles": subtitles,
}
