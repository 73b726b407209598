"""The app: which address shows which page or does what. `create_app` puts it together, guarded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mirante.errors import MiranteError, RequestError
from mirante.files import to_json
from mirante.studio import actions, film_actions, gallery_actions, overview, pages, pictures, result_actions
from mirante.studio.security import MAX_BODY, App, Guard
from mirante.studio.workspace import UNCLEAR, Workspace


def create_app(workspace: Workspace, hosts: frozenset[str], token: str, lang: str | None = None) -> App:
    """Return the studio of a workspace as an ASGI app.

    hosts  the names with ports under which it may be reached
    token  what a browser must bring to be let in
    lang   the language of the pages until a person chooses another
    """
    app = Starlette(
        routes=[
            *(Route(path, _page(show), methods=["GET"]) for path, show in pages.PAGES.items()),
            *(
                Route(path, _picture(draw), methods=["GET"])
                for path, draw in {**pictures.PICTURES, **gallery_actions.PICTURES, **film_actions.PICTURES}.items()
            ),
            *(
                Route(path, _question(ask), methods=["GET"])
                for path, ask in {
                    **actions.QUESTIONS,
                    **result_actions.QUESTIONS,
                    **overview.OVERVIEWS,
                    **gallery_actions.QUESTIONS,
                    **film_actions.QUESTIONS,
                }.items()
            ),
            *(
                Route(path, _action(act), methods=["POST"])
                for path, act in {
                    **actions.ACTIONS,
                    **result_actions.ACTIONS,
                    **gallery_actions.ACTIONS,
                    **film_actions.ACTIONS,
                }.items()
            ),
            *(
                Route(path, _upload(take), methods=["POST"])
                for path, take in {**actions.UPLOADS, **result_actions.UPLOADS}.items()
            ),
            Route("/api/uploads", _stream(actions.upload_archive), methods=["POST"]),
            Route("/api/data/{name}/files", _stream(actions.upload_images), methods=["POST"]),
            Route("/api/films", _stream(film_actions.upload_film), methods=["POST"]),
            Mount("/static", _Static(directory=str(resources.files("mirante.studio") / "static"))),
        ],
        exception_handlers={404: _not_found, 500: _failed},
    )
    app.state.workspace, app.state.lang = workspace, lang
    return Guard(app, hosts, token)


class _Static(StaticFiles):
    """Files of the studio itself; the browser asks each time whether they have changed; mostly they have not."""

    def file_response(self, *words: Any, **named: Any) -> Response:
        response = super().file_response(*words, **named)
        response.headers["cache-control"] = "no-cache"
        return response


def _page(show: Callable[[pages.Visit], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        visit = pages.visit(request)
        try:
            return await run_in_threadpool(show, visit)
        except MiranteError as error:
            return pages.failed(visit, visit.say.told(error), 404)

    return endpoint


def _picture(draw: Callable[[pages.Visit], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return await run_in_threadpool(draw, pages.visit(request))
        except MiranteError as error:
            return Response(pages.visit(request).say.told(error), 404, media_type="text/plain")

    return endpoint


def _question(ask: Callable[[pages.Visit], dict[str, Any]]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(await run_in_threadpool(ask, pages.visit(request)))
        except MiranteError as error:
            return _json({"error": pages.visit(request).say.told(error)}, 400)

    return endpoint


def _action(act: Callable[[pages.Visit, dict[str, Any]], dict[str, Any]]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _read(request, 1 << 20)
            values = _values(body)
            return _json(await run_in_threadpool(act, pages.visit(request), values))
        except MiranteError as error:
            return _json({"error": pages.visit(request).say.told(error)}, 400)

    return endpoint


def _upload(take: Callable[[pages.Visit, bytes], Response | dict[str, Any]]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _read(request, MAX_BODY)
            done = await run_in_threadpool(take, pages.visit(request), body)
            return done if isinstance(done, Response) else _json(done)
        except MiranteError as error:
            return _json({"error": pages.visit(request).say.told(error)}, 400)

    return endpoint


def _stream(take: Callable[[pages.Visit, Any], Awaitable[dict[str, Any]]]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(await take(pages.visit(request), request.stream()))
        except MiranteError as error:
            return _json({"error": pages.visit(request).say.told(error)}, 400)

    return endpoint


async def _read(request: Request, most: int) -> bytes:
    """Return the body; raises RequestError as soon as it is larger than allowed."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise RequestError(f"This is larger than {most >> 20} MiB, the most that is accepted at once.")
    return bytes(body)


def _values(body: bytes) -> dict[str, Any]:
    import json

    try:
        values = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RequestError(UNCLEAR) from error
    if not isinstance(values, dict):
        raise RequestError(UNCLEAR)
    return values


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(to_json(value, None), status, media_type="application/json")


async def _not_found(request: Request, error: Exception) -> Response:
    visit = pages.visit(request)
    status = error.status_code if isinstance(error, HTTPException) else 404
    return pages.failed(visit, visit.say("There is no page at this address."), status)


async def _failed(request: Request, error: Exception) -> Response:
    text = f"{type(error).__name__}: {error}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": text}, 500)
    return pages.failed(pages.visit(request), text, 500)
