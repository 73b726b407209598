"""The server as an ASGI app: which address does what. All state is in memory, so any number of them may run side by side."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mirante.errors import ImageError
from mirante.files import to_json
from mirante.images import Pixels, read_header
from mirante.serving.batching import QueueFullError
from mirante.serving.body import Sent, read_body
from mirante.serving.measures import Measures
from mirante.serving.memory import DecodedAtOnce
from mirante.serving.models import Models, Served
from mirante.serving.openapi import describe
from mirante.serving.settings import Settings
from mirante.task import Answer

_COVERAGE = 0.95
_RETRY_SECONDS = 1


def create() -> Starlette:
    """Return the app for the settings that a parent process kept (mirante.serving.settings)."""
    return create_app(Settings.kept())


def create_app(settings: Settings) -> Starlette:
    """Return the app; raises RequestError or RunError when a model cannot be served."""
    server = _Server(settings)
    routes = [
        Route("/", server.page, methods=["GET"]),
        Route("/try.js", server.script, methods=["GET"]),
        Route("/healthz", server.healthy, methods=["GET"]),
        Route("/readyz", server.ready, methods=["GET"]),
        Route("/metrics", server.allowed(server.metrics), methods=["GET"]),
        Route("/openapi.json", server.openapi, methods=["GET"]),
        Route("/v1/models", server.allowed(server.list), methods=["GET"]),
        Route("/v1/models/{name}", server.allowed(server.tell), methods=["GET"]),
        Route("/v1/models/{name}/predict", server.allowed(server.predict), methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {HTTPException: _refused, Exception: _failed}
    return Starlette(routes=routes, lifespan=server.lifespan, exception_handlers=handlers)


Endpoint = Callable[[Request], Awaitable[Response]]


class _Server:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._measures = Measures()
        self._models = Models(settings, self._measures.note_batch)
        self._decoders = ThreadPoolExecutor(os.cpu_count() or 1, "decode")
        self._ending = False
        self._decoded_at_once = DecodedAtOnce(settings.max_pixels)
        self._decoding = 0  # accepted images whose pixels are not in a queue yet

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._models.watch())
        yield
        self._ending = True
        watching.cancel()
        for served in self._models.by_name.values():
            if served.recorder is not None:
                served.recorder.close()

    def allowed(self, endpoint: Endpoint) -> Endpoint:
        """Return the endpoint behind the bearer tokens, if there are any."""

        async def guarded(request: Request) -> Response:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            known = [hmac.compare_digest(token.strip().encode(), one.encode()) for one in self._settings.tokens]
            if known and not (scheme.lower() == "bearer" and any(known)):
                raise HTTPException(401, "A token is required: Authorization: Bearer …", {"www-authenticate": "Bearer"})
            return await endpoint(request)

        return guarded

    async def page(self, _request: Request) -> Response:
        policy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src blob:"
        return HTMLResponse(_file("try.html"), headers={"content-security-policy": policy})

    async def script(self, _request: Request) -> Response:
        return Response(_file("try.js"), media_type="text/javascript")

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(self, _request: Request) -> Response:
        return PlainTextResponse("ending", 503) if self._ending else PlainTextResponse("ready")

    async def metrics(self, _request: Request) -> Response:
        waiting = {name: served.batcher.waiting for name, served in self._models.by_name.items()}
        return Response(self._measures.text(waiting), media_type="text/plain; version=0.0.4")

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(describe(list(self._models.by_name), bool(self._settings.tokens), self._settings))

    async def list(self, _request: Request) -> Response:
        return _json({"models": [_described(served) for served in self._models.by_name.values()]})

    async def tell(self, request: Request) -> Response:
        return _json(_described(self._served(request)))

    async def predict(self, request: Request) -> Response:
        served = self._served(request)
        began = time.monotonic()
        status = 500
        try:
            response = await self._predict(request, served, began + self._settings.timeout)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._measures.requests.labels(served.name, str(status)).inc()
            self._measures.seconds.labels(served.name).observe(time.monotonic() - began)

    async def _predict(self, request: Request, served: Served, until: float) -> Response:
        coverage = _coverage(request, served)
        self._require_room(served, 1)  # a body that would be refused anyway is not read
        try:
            async with asyncio.timeout(until - time.monotonic()):
                sent = await read_body(request, self._settings)
        except TimeoutError as error:
            raise HTTPException(
                408, f"The body did not arrive within {self._settings.timeout:g} seconds.", _CLOSE
            ) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The sender disconnected.", _CLOSE) from error
        self._require_room(served, len(sent))
        self._decoding += len(sent)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                loop = asyncio.get_running_loop()
                read = [loop.run_in_executor(self._decoders, self._read, served, one, until) for one in sent]
                pixels = await asyncio.gather(*read)
        except TimeoutError as error:
            raise self._late() from error
        finally:
            self._decoding -= len(sent)
        sound = [one for one in pixels if not isinstance(one, str)]
        try:
            found = await served.batcher.run(sound, until) if sound else None
        except QueueFullError as error:
            raise _full() from error
        except TimeoutError as error:
            raise self._late() from error
        told = [] if found is None else list(served.batcher.model.tell(found, [None] * len(found), coverage))
        predictions = _predictions(sent, pixels, told)
        for one in told:
            self._measures.note_answer(served.name, one)
        if served.recorder is not None and found is not None:
            known = [one.content for one, read in zip(sent, pixels, strict=True) if not isinstance(read, str)]
            subgroup = request.headers.get("mirante-subgroup", "")[:100]
            await asyncio.to_thread(served.recorder.add, known, found, told, sound, subgroup)
        for outcome, count in (("answered", len(sound)), ("unreadable", len(sent) - len(sound))):
            self._measures.images.labels(served.name, outcome).inc(count)
        return _json({"model": served.name, "version": served.version, "predictions": predictions})

    def _served(self, request: Request) -> Served:
        name = request.path_params["name"]
        if name not in self._models.by_name:
            raise HTTPException(404, f"There is no model {name!r}; GET /v1/models lists those that exist.")
        return self._models.by_name[name]

    def _require_room(self, served: Served, images: int) -> None:
        if self._decoding + served.batcher.waiting + images > self._settings.room:
            raise _full()

    def _read(self, served: Served, one: Sent, until: float) -> Pixels | str:
        """Return the pixels, or why there are none."""
        if one.error is not None:
            return one.error
        if time.monotonic() > until:
            return "too late"  # nobody is waiting for it any more
        try:
            header = read_header(one.content, served.batcher.model.info.page)
            if header.height * header.width > self._settings.max_pixels:
                return f"{header.width}×{header.height} pixels, more than {self._settings.max_pixels:,}"
            with self._decoded_at_once.of(header.height * header.width):
                return served.batcher.model.pixels(one.content)
        except ImageError as error:
            return str(error)

    def _late(self) -> HTTPException:
        return HTTPException(504, f"There was no answer within {self._settings.timeout:g} seconds.")


_CLOSE = {"connection": "close"}


def _full() -> HTTPException:
    return HTTPException(503, "Too many images are waiting; try again soon.", {"retry-after": str(_RETRY_SECONDS)})


def _coverage(request: Request, served: Served) -> float | None:
    text = request.query_params.get("coverage")
    model = served.batcher.model
    if not model.asks.promises_coverage(model.info):
        if text is not None:
            raise HTTPException(400, "This model cannot promise any coverage.")
        return None
    try:
        value = _COVERAGE if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise HTTPException(400, "coverage must be a number between 0 and 1, such as 0.95.")
    return value


def _predictions(sent: list[Sent], pixels: list[Pixels | str], answers: list[Answer]) -> list[dict[str, object]]:
    predictions: list[dict[str, object]] = []
    told = iter(answers)
    for one, read in zip(sent, pixels, strict=True):
        named: dict[str, object] = {} if one.name is None else {"name": one.name}
        if isinstance(read, str):
            predictions.append({**named, "error": read})
        else:
            predictions.append(
                {**named, **{key: value for key, value in next(told).to_dict().items() if key != "path"}}
            )
    return predictions


def _described(served: Served) -> dict[str, object]:
    info = served.batcher.model.info
    return {
        "name": served.name,
        "version": served.version,
        "task": info.task,
        "classes": list(info.classes),
        "height": info.height,
        "width": info.width,
        "channels": info.channels,
    }


def _file(name: str) -> str:
    return (resources.files("mirante.serving") / "pages" / name).read_text(encoding="utf-8")


def _json(value: dict[str, object], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(value, None), status, headers, media_type="application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": str(error.detail)}, error.status_code, dict(error.headers or {}))


async def _failed(_request: Request, error: Exception) -> Response:
    return _json({"error": f"The server failed ({type(error).__name__})."}, 500)
