"""Who may read the pages, and what a page may load."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.runtime.loopback import is_loopback

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
        " object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With `no-referrer` a browser sends `Origin: null` with the forms of these pages, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
# The supervisor asks it without a token, and it says nothing about the stack.
ALIVE: Final = "/live"
# A page repeats its address in hundreds of links: 1.7 MB at most.
MAX_ADDRESS_BYTES: Final = 4000


@dataclass(frozen=True, slots=True)
class Security:
    """Refuses what is not allowed, and adds the headers that limit what a page may do.

    While there are no tokens, only requests to a loopback name or address are answered: a page of another
    origin whose name resolves to this machine (DNS rebinding) sends its own name as the host. With tokens
    each request needs one, as the password of HTTP's Basic scheme or as a bearer token. A request that
    changes something must come from a page of the console. A page of another site can open the first page
    only, without a range: whatever else it embeds, such as a search, would cost this machine the work.
    """

    app: ASGIApp
    tokens: Callable[[], Sequence[str]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        alive = scope["path"] == ALIVE
        answer = PlainTextResponse("live\n") if alive else self._refusal(scope) or self.app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, tokens = Headers(scope=scope), self.tokens()
        host, given = headers.get("host", ""), _given(headers).encode()
        if not tokens and not is_loopback(_split(f"//{host}").hostname or ""):
            text = f"the console answers at 127.0.0.1 or localhost, not at {host!r}"
            return PlainTextResponse(text, 421)
        if tokens and not any(hmac.compare_digest(given, each.encode()) for each in tokens):
            text = "the console needs its token (console.token_file) as the password"
            challenge = {"WWW-Authenticate": 'Basic realm="Tidegate console", charset="UTF-8"'}
            return PlainTextResponse(text, 401, challenge)
        address = (
            scope["raw_path"].decode("latin-1") + "?" + scope["query_string"].decode("latin-1")
        )
        if len(address) > MAX_ADDRESS_BYTES:
            text = (
                f"the address has {len(address)} bytes, and the console takes {MAX_ADDRESS_BYTES}"
            )
            return PlainTextResponse(
                f"{text}: shorten it, or use tidegate search in a terminal", 400
            )
        if address != "/?" and headers.get("sec-fetch-site") == "cross-site":
            # With one slash it is of this origin.
            link = escape("/" + address.lstrip("/\\"))
            text = "A page of another site led here. If you trust this address, open it"
            return HTMLResponse(f'<p>{text}: <a href="{link}">{link}</a></p>', 403)
        origin = headers.get("origin")
        if scope["method"] not in {"GET", "HEAD"} and (not origin or _split(origin).netloc != host):
            return PlainTextResponse("a change must come from a page of the console", 403)
        return None


def _split(url: str) -> SplitResult:
    """The parts of a URL; all are empty if it is none, such as `http://[`."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _given(headers: Headers) -> str:
    """The token in a request; empty if there is none."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    try:
        return b64decode(value, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
