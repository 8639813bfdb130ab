"""Requests to a component over HTTP; every failure becomes an error with a one-sentence message."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tidegate.os_errors import connection_error_message
from tidegate.runtime.secret_files import authorization, read_login
from tidegate.settings import Elasticsearch

TIMEOUT_SECONDS: Final = 10.0
MAX_REASON_CHARACTERS: Final = 300
MAX_BODY_BYTES: Final = 16 * 2**20


class HttpError(RuntimeError):
    """A component cannot be reached, or responds with an error. The message is one sentence."""

    def __init__(self, text: str, status: int | None = None, body: Any = None) -> None:
        super().__init__(text)
        self.status = status
        """The status of the response; None if there is none."""
        self.body = body
        """What an error response says: its JSON or plain text, if it has one."""


@dataclass(frozen=True, slots=True)
class HttpClient:
    """A client of one component.

    Attributes:
        session: the HTTP session.
        url: the component's URL.
        headers: sent with each request, such as the login.
        tls: the trusted certificate authorities.
        seconds: how long a request may take.
        name: of the component, for messages; empty if the URL says enough.
        max_bytes: the maximum size of a response.
    """

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | bool = True
    seconds: float = TIMEOUT_SECONDS
    name: str = ""
    max_bytes: int = MAX_BODY_BYTES

    async def get(self, path: str) -> Any:
        """GET a path and return the JSON of the response; errors as of `json`."""
        return await self.json("GET", path)

    async def post(self, path: str, body: Any) -> Any:
        """POST a JSON body and return the JSON of the response; errors as of `json`."""
        return await self.json("POST", path, json=body)

    async def json(self, method: str, path: str, **request: Any) -> Any:
        """Send a request and return the JSON of the response.

        Raises:
            HttpError: as of `call`, or the response is not JSON.
        """
        body = await self.call(method, path, **request)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise HttpError(f"the response of {self.shown(path)} is not JSON") from error

    async def status(self, method: str, path: str, **request: Any) -> int:
        """Send a request to an application, of which any status below 500 is an answer; 200 for success.

        Raises:
            HttpError: there is no answer, or its status is 500 or above.
        """
        try:
            await self.call(method, path, **request)
        except HttpError as error:
            if error.status is None or error.status >= 500:
                raise
            return error.status
        return 200

    async def call(self, method: str, path: str, *, read: bool = True, **request: Any) -> bytes:
        """Send a request and return the body of the response.

        Args:
            method: of HTTP.
            path: below the client's URL; empty for that URL itself.
            read: whether to wait for the body of a successful response; otherwise it is returned as empty.
            request: more arguments of aiohttp's request.

        Raises:
            HttpError: the component cannot be reached, is too slow, or responds with status 300 or above or
                with more than `max_bytes`.
        """
        try:
            async with self.session.request(
                method,
                self.url.rstrip("/") + path if path else self.url,
                ssl=self.tls,
                headers={**self.headers, **request.pop("headers", {})},
                timeout=aiohttp.ClientTimeout(self.seconds),
                allow_redirects=False,
                **request,
            ) as response:
                body = await self._read(response) if read or response.status >= 300 else b""
        except TimeoutError as error:
            raise HttpError(
                f"{self.shown(path)} does not respond within {self.seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HttpError(
                f"{self.shown(path)} cannot be reached: {connection_error_message(error)}"
            ) from error
        if len(body) > self.max_bytes:
            raise HttpError(
                f"the response of {self.shown(path)} is larger than {self.max_bytes} bytes"
            )
        if response.status < 300:
            return body
        content = _content(body, response.content_type)
        text = f"{self.shown(path)} responded with status {response.status}"
        why = _reason(content)[:MAX_REASON_CHARACTERS]
        raise HttpError(f"{text}: {why}" if why else text, response.status, content)

    def shown(self, path: str) -> str:
        """The address of a path, as messages name it."""
        scheme, _, address = (self.url.rstrip("/") if path else self.url).rpartition("://")
        # A user and a password in a URL are for the component alone.
        address = f"{scheme}://{address.rpartition('@')[2]}{path.partition('?')[0]}"
        return f"{self.name} at {address}" if self.name else address

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body; of one that is too large a little more than `max_bytes`."""
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self.max_bytes:
                break
        return bytes(body)


def tls_context(ca_file: Path | None, setting: str) -> ssl.SSLContext | bool:
    """The trusted certificate authorities: those in this file, or the system's.

    Raises:
        HttpError: the file cannot be read.
    """
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise HttpError(f"{setting}: {ca_file}: {error.strerror or error}") from error


def elasticsearch_client(
    session: aiohttp.ClientSession, server: Elasticsearch, seconds: float = TIMEOUT_SECONDS
) -> HttpClient:
    """The client of Elasticsearch, with the login and the authorities of `[store.elasticsearch]`.

    Raises:
        SecretFileError: the password cannot be read.
        HttpError: the CA file cannot be read.
    """
    setting = "store.elasticsearch.password_file"
    login = read_login(server.username, server.password_file, setting)
    tls = tls_context(server.ca_file, "store.elasticsearch.ca_file")
    return HttpClient(session, server.url, authorization(login), tls, seconds)


def _content(body: bytes, content_type: str) -> Any:
    """The JSON or the plain text of a response; None for a page of a proxy."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace").strip() if content_type == "text/plain" else None


def _reason(content: Any) -> str:
    """The reason that an error response gives, on one line; empty if it gives none."""
    if isinstance(content, str):
        return " ".join(content.split())
    if not isinstance(content, dict):
        return ""
    error = content.get("error")
    # Elasticsearch's own reason is often only "all shards failed".
    causes = error.get("root_cause") if isinstance(error, dict) else None
    innermost = causes[0] if isinstance(causes, list) and causes else error
    nested = innermost.get("reason") if isinstance(innermost, dict) else innermost
    said = content.get("message") or nested or content.get("detail") or ""
    return " ".join(str(said).split())
