"""Connections that do not send the head of a request in time are closed; otherwise each would hold a socket indefinitely."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SECONDS = 20
"""For the head of a first request, and between requests."""


class Connection(HttpToolsProtocol):
    """uvicorn's own, with a clock that starts when it is opened."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
