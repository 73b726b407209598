"""The server as an ASGI app: which address does what. All state is in memory, so any number of them may run side by side."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mirante.errors import ImageError, RequestError, WorkError
from mirante.files import to_json
from mirante.images import Pixels, read_header
from mirante.prediction.onnx_model import Output
from mirante.serving import inference
from mirante.serving.batching import QueueFullError
from mirante.serving.body import Sent, read_body, read_whole
from mirante.serving.measures import Measures
from mirante.serving.memory import DecodedAtOnce
from mirante.serving.models import Models, Served
from mirante.serving.openapi import describe
from mirante.serving.settings import Settings
from mirante.serving.tracing import span
from mirante.serving.watching import watch
from mirante.task import Answer

Body = TypeVar("Body")
Reader = Callable[[Request, Settings], Awaitable[Body]]
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
        Route("/v1/models", server.allowed(server.models), methods=["GET"]),
        Route("/v1/models/{name}", server.allowed(server.tell), methods=["GET"]),
        Route("/v1/models/{name}/predict", server.allowed(server.predict), methods=["POST"]),
        Route("/v1/models/{name}/feedback", server.allowed(server.feedback), methods=["POST"]),
        Route("/v2", server.server_metadata, methods=["GET"]),
        Route("/v2/health/live", server.live, methods=["GET"]),
        Route("/v2/health/ready", server.ready_v2, methods=["GET"]),
        *(
            Route(f"/v2/models/{{name}}{version}{what}", server.allowed(endpoint), methods=[method])
            for version in ("", "/versions/{version}")
            for what, endpoint, method in (
                ("", server.model_metadata, "GET"),
                ("/ready", server.model_ready, "GET"),
                ("/infer", server.infer, "POST"),
            )
        ),
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
        tasks = [asyncio.create_task(self._models.watch())]
        if (log := self._settings.log) is not None:
            looking = watch(self._models, log, self._settings.monitor_every, self._measures.note_use)
            tasks.append(asyncio.create_task(looking))
        yield
        self._ending = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._models.close()

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

    async def models(self, _request: Request) -> Response:
        return _json({"models": [_described(served) for served in self._models.by_name.values()]})

    async def tell(self, request: Request) -> Response:
        return _json(_described(self._served(request)))

    async def server_metadata(self, _request: Request) -> Response:
        return _json(inference.SERVER)

    async def live(self, _request: Request) -> Response:
        return _json({"live": True})

    async def ready_v2(self, _request: Request) -> Response:
        return _json({"ready": not self._ending}, 503 if self._ending else 200)

    async def model_metadata(self, request: Request) -> Response:
        served = self._served(request)
        return _json(inference.metadata(served.name, served.version, served.batcher.model))

    async def model_ready(self, request: Request) -> Response:
        told = {"name": self._served(request).name, "ready": not self._ending}
        return _json(told, 503 if self._ending else 200)

    async def predict(self, request: Request) -> Response:
        return await self._measured(request, self._predict)

    async def feedback(self, request: Request) -> Response:
        return await self._measured(request, self._feedback)

    async def _feedback(self, request: Request, served: Served, until: float) -> Response:
        """Keep what an image shows, as somebody who knows says."""
        if served.feedback is None:
            raise HTTPException(404, "This server keeps no feedback; mirante serve --feedback DIR does.")
        sent = await self._received(read_body, request, served, until)
        if len(sent) != 1:
            raise HTTPException(400, f"One image is needed, with what it shows; there are {len(sent)}.")
        (read,) = await self._decoded(served, sent, until)
        if isinstance(read, str):
            raise HTTPException(400, f"The image: {read}.")
        labels = request.query_params.getlist("label")
        if not labels:
            raise HTTPException(400, "Say what the image shows: ?label=NAME.")
        given = [label for label in labels if label.strip()]
        try:
            unknown = await asyncio.to_thread(served.feedback.add, sent[0].content, given)
        except RequestError as error:
            raise HTTPException(400, str(error)) from error
        except WorkError as error:
            raise HTTPException(507, str(error)) from error
        return _json({"model": served.name, "labels": given, "new": unknown})

    async def infer(self, request: Request) -> Response:
        return await self._measured(request, self._infer)

    async def _measured(
        self, request: Request, work: Callable[[Request, Served, float], Awaitable[Response]]
    ) -> Response:
        served = self._served(request)
        began = time.monotonic()
        status = 500
        try:
            with span(request.url.path.rpartition("/")[2], request.headers, model=served.name, version=served.version):
                response = await work(request, served, began + self._settings.timeout)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._measures.requests.labels(served.name, str(status)).inc()
            self._measures.seconds.labels(served.name).observe(time.monotonic() - began)

    async def _predict(self, request: Request, served: Served, until: float) -> Response:
        coverage = _coverage(request.query_params.get("coverage"), served)
        sent = await self._received(read_body, request, served, until)
        self._require_room(served, len(sent))
        pixels = await self._decoded(served, sent, until)
        sound = [one for one in pixels if not isinstance(one, str)]
        told: list[Answer] = []
        if sound:
            known = [one.content for one, read in zip(sent, pixels, strict=True) if not isinstance(read, str)]
            _, told = await self._answered(request, served, known, sound, coverage, until)
        self._measures.images.labels(served.name, "unreadable").inc(len(sent) - len(sound))
        predictions = _predictions(sent, pixels, told)
        return _json({"model": served.name, "version": served.version, "predictions": predictions})

    async def _infer(self, request: Request, served: Served, until: float) -> Response:
        body = await self._received(read_whole, request, served, until)
        length = request.headers.get(inference.LENGTH)
        asked = await asyncio.to_thread(inference.read, body, length, served.batcher.model, self._settings)
        coverage = _coverage(asked.coverage, served)
        self._require_room(served, len(asked))
        if asked.files is None:
            pixels: list[Pixels] = [] if asked.pixels is None else list(asked.pixels)
            contents: list[bytes] | list[Pixels] = pixels
        else:
            pixels, contents = [], [one.content for one in asked.files]
            for number, one in enumerate(await self._decoded(served, asked.files, until), 1):
                if isinstance(one, str):
                    self._measures.images.labels(served.name, "unreadable").inc()
                    raise HTTPException(400, f"File {number} of this request: {one}.")
                pixels.append(one)
        found, told = await self._answered(request, served, contents, pixels, coverage, until)
        return await asyncio.to_thread(inference.reply, asked, served.name, served.version, found, told)

    async def _received(self, reader: Reader[Body], request: Request, served: Served, until: float) -> Body:
        """Return a body that is read before the time `until`; where there is no room for one more image, it is not read."""
        self._require_room(served, 1)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await reader(request, self._settings)
        except TimeoutError as error:
            raise HTTPException(
                408, f"The body did not arrive within {self._settings.timeout:g} seconds.", _CLOSE
            ) from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The sender disconnected.", _CLOSE) from error

    async def _decoded(self, served: Served, sent: Sequence[Sent], until: float) -> list[Pixels | str]:
        """Return the pixels of each image, or why there are none."""
        self._decoding += len(sent)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                loop = asyncio.get_running_loop()
                with span("decode", images=len(sent)):
                    return await asyncio.gather(
                        *(loop.run_in_executor(self._decoders, self._read, served, one, until) for one in sent)
                    )
        except TimeoutError as error:
            raise self._late() from error
        finally:
            self._decoding -= len(sent)

    async def _answered(
        self,
        request: Request,
        served: Served,
        contents: Sequence[bytes] | Sequence[Pixels],
        pixels: Sequence[Pixels],
        coverage: float | None,
        until: float,
    ) -> tuple[Output, list[Answer]]:
        """Return what the network finds in images, and the answers; they are counted and logged."""
        try:
            with span("network", images=len(pixels)):
                found = await served.batcher.run(pixels, until)
        except QueueFullError as error:
            raise _full() from error
        except TimeoutError as error:
            raise self._late() from error
        told = list(served.batcher.model.tell(found, [None] * len(found), coverage))
        by_name = served.batcher.model.asks.few_answers
        for one in told:
            self._measures.note_answer(served.name, one, by_name)
        self._measures.images.labels(served.name, "answered").inc(len(told))
        if served.recorder is not None:
            subgroup = _as_utf8(request.headers.get("mirante-subgroup", "")).strip()[:100]
            await asyncio.to_thread(served.recorder.add, contents, found, told, pixels, subgroup)
        return found, told

    def _served(self, request: Request) -> Served:
        name = request.path_params["name"]
        if name not in self._models.by_name:
            raise HTTPException(404, f"There is no model {name!r}; GET /v1/models lists those that exist.")
        served = self._models.by_name[name]
        version = request.path_params.get("version", served.version)
        if version != served.version:
            raise HTTPException(404, f"The model {name!r} is version {served.version}, not {version!r}.")
        return served

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


def _coverage(asked: Any, served: Served) -> float | None:
    model = served.batcher.model
    if not model.asks.promises_coverage(model.info):
        if asked is not None:
            raise HTTPException(400, "This model cannot promise any coverage.")
        return None
    try:
        value = _COVERAGE if asked is None else float(asked)
    except (TypeError, ValueError, OverflowError):
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


def _as_utf8(header: str) -> str:
    """Return a header as its sender meant it: bytes of UTF-8, which arrive read as Latin-1, or Latin-1 itself."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header
