"""Traces for OpenTelemetry, where its library is installed and somebody has configured it; otherwise nothing is imported or sent.

Mirante configures no exporter: `opentelemetry-instrument mirante serve …`, or a program that embeds the app, does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, **attributes: str | int) -> Iterator[None]:
    """Record how long something takes; `headers` of a request may name the trace that it is part of."""
    api = _api()
    if api is None:
        yield
        return
    trace, propagate = api
    context = None if headers is None else propagate.extract(headers)
    named = {f"mirante.{key}": value for key, value in attributes.items()}
    with trace.get_tracer("mirante").start_as_current_span(name, context=context, attributes=named):
        yield


@cache
def _api() -> tuple[Any, Any] | None:
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return None
    return trace, propagate
