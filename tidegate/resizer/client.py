"""The client of `tidegate.resizer.server`."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ValidationError

from tidegate.resizer.contract import (
    ReplicaStatus,
    ResizeLimitedError,
    ResizeRefusedError,
    ResizerUnavailableError,
)
from tidegate.runtime.unix_sockets import unix_address

UNIX_PREFIX: Final = "unix:"
ERROR_BYTES: Final = 200
_SECONDS: Final = re.compile("[0-9]{1,9}")


class _ErrorResponse(BaseModel):
    error: str


def no_tokens() -> Sequence[str]:
    """No token, as on a Unix socket."""
    return ()


class ResizerClient:
    """A client of the resizer at an address. It keeps no connection, so it needs no close.

    Each call opens its own connection: a tick of seconds makes two, and a resizer that was restarted, or
    whose folder was recreated, is found again at once.
    """

    def __init__(
        self,
        address: str,
        *,
        tokens: Callable[[], Sequence[str]] = no_tokens,
        timeout_seconds: float = 2.0,
    ) -> None:
        """Check and store the address.

        Args:
            address: `unix:PATH` or `http://HOST:PORT`.
            tokens: one is sent as a bearer token, the first that the resizer accepts.
            timeout_seconds: how long one call may take.

        Raises:
            ValueError: the address has neither form, or a token cannot be sent.
        """
        self.address = address
        self._socket: Path | None = None
        if address.startswith(UNIX_PREFIX) and len(address) > len(UNIX_PREFIX):
            self._socket = Path(address.removeprefix(UNIX_PREFIX))
            self._url = "http://resizer/replicas"
        elif _is_http(address):
            self._url = address.rstrip("/") + "/replicas"
        else:
            raise ValueError(f"resizer: {address!r} is neither unix:PATH nor http://HOST:PORT")
        if not all(map(_can_be_sent, tokens())):
            raise ValueError("resizer: the token may hold printable ASCII only")
        self._tokens = tokens
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def status(self) -> ReplicaStatus:
        """The replicas now.

        Raises:
            ResizerUnavailableError: the resizer cannot be reached, or its response is invalid.
        """
        return await self._call("GET", None)

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Request a number of replicas, and of slots in each.

        Raises:
            ResizeRefusedError: a number is out of bounds, or slots cannot be set.
            ResizeLimitedError: replicas were removed too often.
            ResizerUnavailableError: the resizer cannot be reached, or its response is invalid.
        """
        body = {"desired": desired} if slots is None else {"desired": desired, "slots": slots}
        return await self._call("PUT", body)

    async def _call(self, method: str, body: dict[str, Any] | None) -> ReplicaStatus:
        sendable = [token for token in self._tokens() if _can_be_sent(token)]
        first, *others = [{"Authorization": f"Bearer {token}"} for token in sendable] or [{}]
        try:
            async with self._session() as session:
                answer = await self._request(session, method, body, first)
                for headers in others:
                    if answer[0] == 401:
                        answer = await self._request(session, method, body, headers)
                return _parse(*answer)
        except TimeoutError as error:
            raise ResizerUnavailableError(
                f"the resizer at {self.address} does not respond in time"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ResizerUnavailableError(
                f"the resizer at {self.address} cannot be reached: {_reason(error)}"
            ) from error

    async def _request(
        self,
        session: aiohttp.ClientSession,
        method: str,
        body: dict[str, Any] | None,
        headers: dict[str, str],
    ) -> tuple[int, bytes, str]:
        """The status, the body and `Retry-After` of the response."""
        async with session.request(
            method, self._url, json=body, headers=headers, allow_redirects=False
        ) as response:
            retry_after = response.headers.get("Retry-After", "")
            return response.status, await response.read(), retry_after

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._socket is None:
            async with aiohttp.ClientSession(timeout=self._timeout) as session:
                yield session
            return
        with unix_address(self._socket) as reachable:
            connector = aiohttp.UnixConnector(path=reachable)
            async with aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session:
                yield session


def _can_be_sent(token: str) -> bool:
    return token.isascii() and token.isprintable()


def _is_http(address: str) -> bool:
    try:
        parts = urlsplit(address)
        # Reading the port validates it.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _parse(code: int, body: bytes, retry_after: str) -> ReplicaStatus:
    if code == 409:
        raise ResizeRefusedError(_error_text(body))
    if code == 429:
        # The server sends a whole number of seconds, below 1,000.
        seconds = float(retry_after) if _SECONDS.fullmatch(retry_after) else 0.0
        raise ResizeLimitedError(f"the resizer refused: {_error_text(body)}", seconds)
    if code != 200:
        raise ResizerUnavailableError(f"the resizer responded with {code}: {_error_text(body)}")
    try:
        return ReplicaStatus.model_validate_json(body)
    except ValidationError as error:
        raise ResizerUnavailableError(
            f"the response of the resizer cannot be read: {_error_text(body)}"
        ) from error


def _error_text(body: bytes) -> str:
    try:
        return _ErrorResponse.model_validate_json(body).error
    except ValidationError:
        return body[:ERROR_BYTES].decode(errors="replace").strip() or "an empty body"


def _reason(error: Exception) -> str:
    """The same text for the same cause; the text of aiohttp may contain a file descriptor."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else type(error).__name__
