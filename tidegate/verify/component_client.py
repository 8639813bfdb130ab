"""HTTP requests to a component; every failure becomes an error with a one-sentence message."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tidegate.os_errors import connection_error_message
from tidegate.provision.errors import ProvisionError
from tidegate.provision.kibana.api import ssl_context

TIMEOUT_SECONDS: Final = 10.0
MAX_REASON_CHARACTERS: Final = 300


class ComponentError(RuntimeError):
    """A component cannot be reached, or responds with an error. The message is one sentence."""

    def __init__(self, text: str, body: Any = None, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The status of the response; None if there is none."""
        self.body = body
        """The JSON body of an error response, if any."""


@dataclass(frozen=True, slots=True)
class ComponentClient:
    """A client of one component.

    Attributes:
        session: the HTTP session.
        url: the component's URL.
        headers: sent with each request, such as the login.
        tls: the trusted certificate authorities.
    """

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | bool = True

    async def get(self, path: str) -> Any:
        """GET a path and return the JSON of the response.

        Raises:
            ComponentError: the request fails, or the response is not JSON.
        """
        return _json(await self.call("GET", path), f"{self.url}{path}")

    async def post(self, path: str, body: Any) -> Any:
        """POST a JSON body and return the JSON of the response.

        Raises:
            ComponentError: the request fails, or the response is not JSON.
        """
        return _json(await self.call("POST", path, json=body), f"{self.url}{path}")

    async def call(self, method: str, path: str, **request: Any) -> bytes:
        """Send a request and return the body of the response.

        Raises:
            ComponentError: the component cannot be reached, is too slow, or responds with status 300 or
            above.
        """
        address = self.url.rstrip("/") + path
        shown = address.partition("?")[0]
        try:
            async with self.session.request(
                method,
                address,
                ssl=self.tls,
                headers={**self.headers, **request.pop("headers", {})},
                timeout=aiohttp.ClientTimeout(TIMEOUT_SECONDS),
                allow_redirects=False,
                **request,
            ) as response:
                body = await response.read()
                if response.status >= 300:
                    raise ComponentError(*_error(shown, response.status, body), response.status)
                return body
        except TimeoutError as error:
            raise ComponentError(
                f"{shown} does not respond within {TIMEOUT_SECONDS:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ComponentError(
                f"{shown} cannot be reached: {connection_error_message(error)}"
            ) from error


def tls_context(setting: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """The trusted certificate authorities: those in this file, or the system's.

    Raises:
        ComponentError: the file cannot be read.
    """
    try:
        return ssl_context(ca_file, setting) if ca_file else True
    except ProvisionError as error:
        raise ComponentError(str(error)) from error


def _json(body: bytes, where: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ComponentError(f"the response of {where.partition('?')[0]} is not JSON") from error


def _error(where: str, status: int, body: bytes) -> tuple[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    reason = ""
    if isinstance(content, dict):
        error = content.get("error")
        # Elasticsearch's own reason is often only "all shards failed".
        causes = error.get("root_cause") if isinstance(error, dict) else None
        innermost = causes[0] if causes else error
        nested = innermost.get("reason") if isinstance(innermost, dict) else innermost
        reason = str(content.get("message") or nested or "")
    text = f"{where} responded with status {status}"
    if reason:
        text += f": {reason[:MAX_REASON_CHARACTERS]}"
    return text, content
