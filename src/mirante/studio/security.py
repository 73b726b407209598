"""Who may talk to the studio: the browser that was opened with the token, on this machine, from the studio's own pages.

An ASGI middleware around the whole app. Against other programs and people: a token in the first address, a cookie after it.
Against other sites in the same browser: SameSite, Host (DNS rebinding), Origin. Against what an image or a name might smuggle
into a page: a Content-Security-Policy without inline script.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 32 << 20  # bytes of one image, and of any request that is not an archive
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "SAMEORIGIN",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


class Guard:
    """Lets through what comes from the person; answers everything else with 4xx.

    hosts  the names under which the studio may be reached, each with its port: 127.0.0.1:8765
    token  the secret of this start
    """

    def __init__(self, app: App, hosts: frozenset[str], token: str) -> None:
        self._app, self._hosts, self._token = app, hosts, token
        # cookies do not tell ports apart, so that two studios need two names
        self._cookie = f"mirante_{min(hosts).rpartition(':')[2]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # WebSocket is not spoken here
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "") not in self._hosts:
            await _refuse(send, 421, "This studio cannot be reached under that name.")
        elif scope["path"] == "/open":
            asked = parse_qs(scope["query_string"].decode("latin-1"))
            given, page = asked.get("token", [""])[0], asked.get("page", ["/"])[0]
            page = (
                quote(page) if re.fullmatch(r"/[^/\\\r\n][^\\\r\n]*", page) else "/"
            )  # a page of ours, not another site
            if secrets.compare_digest(given.encode(), self._token.encode()):
                cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000"
                await _answer(send, 303, b"", {"location": page, "set-cookie": cookie})
            else:
                await _refuse(send, 403, "Open the studio with the address that it printed when it started.")
        elif not secrets.compare_digest(self._given(headers).encode(), self._token.encode()):
            await _refuse(send, 403, "Open the studio with the address that it printed when it started.")
        elif scope["method"] not in ("GET", "HEAD", "POST"):
            await _refuse(send, 405, "Only GET and POST are answered here.")
        elif scope["method"] == "POST" and not self._from_own_page(headers):
            await _refuse(send, 403, "Only the studio's own pages may change anything.")
        else:
            await self._app(scope, receive, self._with_headers(send))

    def _given(self, headers: dict[str, str]) -> str:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return ""
        return morsel.value if morsel else ""

    def _from_own_page(self, headers: dict[str, str]) -> bool:
        scheme, _, host = headers.get("origin", "").partition("://")
        site = headers.get("sec-fetch-site", "same-origin")
        return scheme == "http" and host == headers["host"] and site == "same-origin"

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.encode() not in present
                    ),
                ]
            await send(message)

        return sending


async def _refuse(send: Send, status: int, words: str) -> None:
    await _answer(send, status, words.encode(), {"content-type": "text/plain; charset=utf-8"})


async def _answer(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    listed = [(name.encode(), value.encode()) for name, value in {**_HEADERS, **headers}.items()]
    listed.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
