"""Asking one component over HTTP; each way in which that fails is one sentence."""

from __future__ import annotations

import base64
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
from tidegate.runtime.secret_files import SecretFileError, read_secret

CALL_SECONDS: Final = 10.0
REASON_CHARACTERS: Final = 300


class PeerError(RuntimeError):
    """A component cannot be asked, or refuses. Its text is one sentence."""

    def __init__(self, text: str, answer: Any = None) -> None:
        super().__init__(text)
        self.answer = answer
        """The JSON of a refusal, if there is one."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A component at an address.

    Attributes:
        session: carries the requests.
        url: its address.
        headers: sent with each request; `login` makes the one that carries the password.
        tls: what to trust.
    """

    session: aiohttp.ClientSession
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | bool = True

    async def get(self, path: str) -> Any:
        """The JSON at a path.

        Raises:
            PeerError: there is none.
        """
        return _json(await self.call("GET", path), f"{self.url}{path}")

    async def post(self, path: str, body: Any) -> Any:
        """The JSON that answers a JSON body.

        Raises:
            PeerError: there is none.
        """
        return _json(await self.call("POST", path, json=body), f"{self.url}{path}")

    async def call(self, method: str, path: str, **request: Any) -> bytes:
        """The body of an answer below 300.

        Raises:
            PeerError: it cannot be reached, is too slow, or refuses.
        """
        address = self.url.rstrip("/") + path
        shown = address.partition("?")[0]
        try:
            async with self.session.request(
                method,
                address,
                ssl=self.tls,
                headers={**self.headers, **request.pop("headers", {})},
                timeout=aiohttp.ClientTimeout(CALL_SECONDS),
                allow_redirects=False,
                **request,
            ) as answer:
                body = await answer.read()
                if answer.status >= 300:
                    raise PeerError(*_refusal(shown, answer.status, body))
                return body
        except TimeoutError as error:
            raise PeerError(f"{shown} does not answer within {CALL_SECONDS:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise PeerError(
                f"{shown} cannot be reached: {connection_error_message(error)}"
            ) from error


def login(setting: str, username: str, password_file: Path | None) -> dict[str, str]:
    """The header of a user's login; none where no password file is set.

    Args:
        setting: the name of the setting that names the file.
        username: the user.
        password_file: the file that holds the password.

    Raises:
        PeerError: the file cannot be read.
    """
    if password_file is None:
        return {}
    try:
        password = read_secret(password_file, setting)
    except SecretFileError as error:
        raise PeerError(str(error)) from error
    encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def trusted(setting: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    """What to trust: the authority in this file, or those of the system.

    Raises:
        PeerError: the file cannot be read.
    """
    try:
        return ssl_context(ca_file, setting) if ca_file else True
    except ProvisionError as error:
        raise PeerError(str(error)) from error


def _json(body: bytes, where: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PeerError(f"{where.partition('?')[0]} does not answer in JSON") from error


def _refusal(where: str, status: int, body: bytes) -> tuple[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    said = ""
    if isinstance(content, dict):
        error = content.get("error")
        nested = error.get("reason") if isinstance(error, dict) else error
        said = str(content.get("message") or nested or "")
    text = f"{where} answers {status}"
    if said:
        text += f": {said[:REASON_CHARACTERS]}"
    return text, content
