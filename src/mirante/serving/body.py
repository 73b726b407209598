"""The body of a request: an image's bytes, several in multipart, or JSON with base64; within limits of bytes, number and time."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from mirante.serving.settings import Settings


@dataclass(frozen=True)
class Sent:
    """An image as it was sent, with its file's name where there is one; or why it could not be extracted from the body."""

    content: bytes
    name: str | None = None
    error: str | None = None


async def read_body(request: Request, settings: Settings) -> list[Sent]:
    """Return the images of a request. Raises HTTPException: 400 for what is not understood, 413 for too much, 415 for another type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _counted(await _multipart(request, settings), settings)
    content = await read_whole(request, settings)
    if kind == "application/json":
        return _counted(_from_json(content), settings)
    if kind.startswith("image/") or kind in ("application/octet-stream", "application/dicom"):
        return [Sent(content)]
    raise HTTPException(
        415,
        "Send an image (image/* or application/octet-stream), multipart/form-data, or application/json, and say which in "
        "Content-Type.",
    )


def _counted(sent: list[Sent], settings: Settings) -> list[Sent]:
    if not sent:
        raise HTTPException(400, "There is no image in the body.")
    if len(sent) > settings.max_images:
        raise HTTPException(413, f"{len(sent)} images; up to {settings.max_images} are accepted in one request.")
    return sent


async def read_whole(request: Request, settings: Settings) -> bytes:
    """Return a body as it was sent; raises HTTPException 413 where it is too long, 415 where it is compressed."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Send the body as it is, not compressed.")
    _require_small(request, settings)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > settings.max_bytes:
            raise _too_large(settings)
    return bytes(body)


async def _multipart(request: Request, settings: Settings) -> list[Sent]:
    _require_small(request, settings)

    async def limited() -> AsyncGenerator[bytes, None]:
        total = 0
        async for part in request.stream():
            total += len(part)
            if total > settings.max_bytes:
                raise _too_large(settings)
            yield part

    try:
        parser = MultiPartParser(request.headers, limited(), max_files=settings.max_images + 1, max_fields=20)
        form = await parser.parse()
    except MultiPartException as error:
        status = 413 if "Too many files" in error.message else 400
        raise HTTPException(status, f"The multipart/form-data cannot be read: {error.message}") from error
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise HTTPException(400, "The multipart/form-data cannot be read; it needs a boundary.") from error
    found = []
    for _, value in form.multi_items():
        if isinstance(value, UploadFile):
            found.append(Sent(await value.read(), value.filename))
    await form.close()
    return found


def _from_json(content: bytes) -> list[Sent]:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "The body is not JSON.") from error
    images = values.get("images") if isinstance(values, dict) else None
    if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
        raise HTTPException(400, 'The JSON must be {"images": ["base64 of an image", …]}.')
    found = []
    for text in images:
        try:
            found.append(Sent(base64.b64decode(text.partition("base64,")[2] or text, validate=True)))
        except (binascii.Error, ValueError):
            found.append(Sent(b"", error="not base64"))
    return found


def _require_small(request: Request, settings: Settings) -> None:
    if int(request.headers.get("content-length", "0") or 0) > settings.max_bytes:
        raise _too_large(settings)


def _too_large(settings: Settings) -> HTTPException:
    return HTTPException(413, f"Larger than {settings.max_bytes:,} bytes, the most that is accepted in one request.")
