"""The description of the server that programs read: /openapi.json, OpenAPI 3.1, with examples."""

from __future__ import annotations

from typing import Any

import mirante
from mirante.serving.settings import Settings
from mirante.task import task_named, task_names

_EXAMPLE = {
    "model": "flowers",
    "version": "3f2a9c01d4e5b687",
    "predictions": [
        {"label": "daisy", "confidence": 0.97, "nearest": "daisy", "nearest_confidence": 0.97, "prediction_set": ["daisy"],
         "unsure": False, "none_of_these": False,
         "probabilities": {"daisy": 0.97, "rose": 0.03}},
        {"name": "notes.txt", "error": "not an image that can be read"},
    ],
}  # fmt: skip


def describe(names: list[str], guarded: bool, settings: Settings) -> dict[str, Any]:
    """Return the description of a server of these models."""
    security: dict[str, Any] = {"security": [{"token": []}]} if guarded else {}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": names}}
    coverage = {"name": "coverage", "in": "query", "schema": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "description": "how often the true class is in `prediction_set` (default: 0.95)"}  # fmt: skip
    text = {"description": "one word", "content": {"text/plain": {"schema": {"type": "string"}}}}
    denied = {"401": _error("the token is missing or unknown")} if guarded else {}
    model = _answer("a model", {"type": "object", "required": ["name", "version", "classes"]})
    binary: dict[str, Any] = {}  # any bytes
    one_file = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    files = {"type": "object", "required": ["file"], "properties": {"file": one_file}}
    images = {"type": "object", "required": ["images"], "properties": {
        "images": {"type": "array", "minItems": 1, "maxItems": settings.max_images, "items": {"type": "string"}}}}  # fmt: skip
    predict = {
        "summary": "Ask a model about images",
        "parameters": [name, coverage],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": binary,
                "application/octet-stream": binary,
                "multipart/form-data": {"schema": files},
                "application/json": {"schema": images, "example": {"images": ["iVBORw0KGgo…"]}},
            },
        },
        "responses": {
            "200": _answer(
                "an answer for each image, in order; an image that cannot be read has an error and does not affect the others",
                {
                    "type": "object",
                    "required": ["model", "version", "predictions"],
                    "properties": {
                        "model": {"type": "string"},
                        "version": {"type": "string"},
                        "predictions": {"type": "array", "items": _prediction()},
                    },
                },
                _EXAMPLE,
            ),
            "400": _error("the body or the coverage is not understood"),
            "404": _error("no such model"),
            "408": _error("the body did not arrive in time"),
            "413": _error(f"more than {settings.max_bytes:,} bytes or {settings.max_images} images"),
            "415": _error("the body is of an unsupported type"),
            "503": _error("too many images are waiting; Retry-After says when to try again"),
            "504": _error(f"no answer within {settings.timeout:g} seconds"),
            **denied,
        },
        **security,
    }
    listed = {"type": "object", "required": ["models"], "properties": {"models": {"type": "array"}}}
    missing = {"404": _error("no such model")}
    every = {"summary": "List the models", "responses": {"200": _answer("the models", listed), **denied}, **security}
    paths = {
        "/v1/models/{name}/predict": {"post": predict},
        "/v1/models/{name}": {"get": {"summary": "Describe a model", "parameters": [name],
                                      "responses": {"200": model, **missing, **denied}, **security}},
        "/v1/models": {"get": every},
        "/healthz": {"get": {"summary": "Whether the process is alive", "responses": {"200": text}}},
        "/readyz": {"get": {"summary": "Whether it accepts requests", "responses": {"200": text, "503": text}}},
        "/metrics": {"get": {"summary": "Counters for Prometheus", "responses": {"200": text, **denied}, **security}},
    }  # fmt: skip
    if settings.feedback is not None:
        label = {"name": "label", "in": "query", "required": True, "schema": {"type": "array", "items": {"type": "string"}},
                 "description": "what it shows; of a model of several labels, each that it has, or one that is empty"}  # fmt: skip
        kept = {"type": "object", "required": ["model", "labels", "new"]}
        paths["/v1/models/{name}/feedback"] = {
            "post": {
                "summary": "Say what an image shows, for the next training",
                "parameters": [name, label],
                "requestBody": {"required": True, "content": {"image/*": binary, "application/octet-stream": binary}},
                "responses": {
                    "200": _answer("kept; `new` are labels that the model does not know yet", kept),
                    "400": _error("the image cannot be read, or the label cannot be meant"),
                    "408": _error("the body did not arrive in time"),
                    "413": _error(f"more than {settings.max_bytes:,} bytes"),
                    "415": _error("the body is of an unsupported type"),
                    "503": _error("too many images are waiting"),
                    "504": _error("no answer in time"),
                    "507": _error("there is no room for more"),
                    **missing,
                    **denied,
                },
                **security,
            }
        }
    paths |= _inference(name, denied, security)
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if guarded else {}
    info = {
        "title": "Mirante",
        "version": mirante.__version__,
        "description": "Image classifiers, with calibrated probabilities.",
    }
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": schemes}


def _inference(name: dict[str, Any], denied: dict[str, Any], security: dict[str, Any]) -> dict[str, Any]:
    """Return the addresses of the Open Inference Protocol."""
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    binary: dict[str, Any] = {}
    infer = {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "array"}}},
                "example": {"inputs": [{"name": "files", "datatype": "BYTES", "shape": [1], "data": ["iVBORw0KGgo…"]}]},
            },
            "application/octet-stream": binary,
        },
    }
    refused = {
        "400": _error("the body is not understood, or one of its images cannot be read"),
        "408": _error("the body did not arrive in time"),
        "413": _error("more bytes or images than are accepted"),
        "415": _error("the body is compressed"),
        "503": _error("too many images are waiting; Retry-After says when to try again"),
        "504": _error("no answer in time"),
    }
    any_object = {"type": "object"}
    missing, paths = {"404": _error("no such model, or another version"), **denied}, {}
    for more, parameters in (("", [name]), ("/versions/{version}", [name, version])):
        for what, summary in (("", "Describe the tensors of a model"), ("/ready", "Whether a model answers")):
            answers = {"200": _answer(summary, any_object), **missing}
            told = {"summary": summary, "parameters": parameters, "responses": answers, **security}
            paths[f"/v2/models/{{name}}{more}{what}"] = {"get": told}
        found = _answer("tensors; in binary form as application/octet-stream where that is asked for", any_object)
        found["content"]["application/octet-stream"] = binary
        asked = {"summary": "Ask a model about images, as tensors", "parameters": parameters, "requestBody": infer}
        paths[f"/v2/models/{{name}}{more}/infer"] = {
            "post": {**asked, "responses": {"200": found, **refused, **missing}, **security}
        }
    for address, summary in (
        ("", "The server"),
        ("/health/live", "Whether it is alive"),
        ("/health/ready", "Whether it accepts requests"),
    ):
        answers = {"200": _answer(summary, any_object)}
        if address == "/health/ready":
            answers["503"] = _answer("it is ending", any_object)
        paths[f"/v2{address}"] = {"get": {"summary": summary, "responses": answers}}
    return paths


def _prediction() -> dict[str, Any]:
    """Return the schema of an answer for one image: what any task says about it."""
    properties: dict[str, Any] = {
        "name": {"type": "string", "description": "of the file, where one was sent"},
        "error": {"type": "string", "description": "why this image has no answer; then no other field is present"},
    }
    for name in task_names():
        properties |= task_named(name).json_schema()
    return {"type": "object", "properties": properties}


def _answer(meaning: str, schema: dict[str, Any], example: dict[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": meaning, "content": {"application/json": content}}


def _error(meaning: str) -> dict[str, Any]:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return _answer(meaning, schema)
