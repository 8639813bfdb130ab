"""The calls of Kibana's HTTP API that set it up, and the explanation of each error."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tidegate.provision.errors import ProvisionError
from tidegate.runtime.http_client import HttpClient, HttpError

# Kibana refuses requests that change state without this header.
HEADERS: Final = {"kbn-xsrf": "true"}
PROBE_SECONDS: Final = 10.0
CALL_SECONDS: Final = 60.0
# Levels at which the whole API is available. `degraded`: a part is slow, as on a busy machine.
READY_LEVELS: Final = frozenset({"available", "degraded"})
# A part of the error about an object that a later version created.
NEWER_VERSION_ERROR: Final = "more recent version of Kibana"


@dataclass(frozen=True, slots=True)
class Kibana:
    """A client of one Kibana; without a login its headers are empty."""

    session: aiohttp.ClientSession
    url: str
    tls: ssl.SSLContext | bool = True
    login: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def problem(self) -> str:
        """Why Kibana is not ready; empty if it is. The same reason always has the same text.

        Raises:
            ProvisionError: it redirects, which no waiting ends.
        """
        try:
            content, status = await self._client(PROBE_SECONDS, "").get("/api/status"), 200
        except HttpError as error:
            if error.status is None:
                return str(error)
            if 300 <= error.status < 400:
                raise ProvisionError(f"Kibana at {error}{self._advice(error)}") from error
            content, status = error.body, error.status
        level = _overall_level(content)
        if level in READY_LEVELS:
            return ""
        return f"its status is {level!r}" if level else f"it responds with {status}"

    async def version(self) -> str:
        """Its version, as `9.2.8`; empty if the status has none."""
        version = (await self._call("GET", "/api/status")).get("version")
        return str(version.get("number", "")) if isinstance(version, dict) else ""

    async def post(self, path: str, body: dict[str, Any]) -> None:
        """Send a request that changes Kibana."""
        await self._call("POST", path, json=body)

    async def import_objects(self, ndjson: bytes) -> int:
        """Import saved objects, one on each line; existing ones are replaced.

        Returns:
            The number of imported objects.

        Raises:
            ProvisionError: Kibana refused objects; the text names each.
        """
        form = aiohttp.FormData()
        # Kibana requires this file extension.
        form.add_field(
            "file", ndjson, filename="saved-objects.ndjson", content_type="application/ndjson"
        )
        path = "/api/saved_objects/_import?overwrite=true"
        result = await self._call("POST", path, data=form)
        errors = result.get("errors") or []
        if not result.get("success") or errors:
            refused = [f"{one.get('type')} {one.get('id')}: {one.get('error')}" for one in errors]
            text = "; ".join(refused) or "it names no object; see its log"
            raise ProvisionError(
                f"Kibana at {self.url} did not import everything: {text}{_hint(text)}"
            )
        return int(result.get("successCount", 0))

    async def _call(self, method: str, path: str, **body: Any) -> Any:
        try:
            return await self._client(CALL_SECONDS, "Kibana").json(method, path, **body)
        except HttpError as error:
            raise ProvisionError(f"{error}{self._advice(error)}") from error

    def _client(self, seconds: float, name: str) -> HttpClient:
        return HttpClient(
            self.session, self.url, {**HEADERS, **self.login}, self.tls, seconds, name
        )

    def _advice(self, error: HttpError) -> str:
        """What to do about an error response; empty if it is not known."""
        if error.status == 401:
            return ". Check kibana.username and kibana.password_file"
        if error.status == 403:
            return ". The user kibana.username lacks `all` in Kibana's default space"
        if 300 <= (error.status or 0) < 400:
            return ". Check that kibana.url includes server.basePath, if it is set"
        return _hint(str(error))


def _overall_level(content: Any) -> str:
    """The level in a status; empty while Kibana starts and responds in plain text."""
    status = content.get("status") if isinstance(content, dict) else None
    overall = status.get("overall") if isinstance(status, dict) else None
    return str(overall.get("level", "")) if isinstance(overall, dict) else ""


def _hint(message: str) -> str:
    return ". This Kibana is too old: use 9.2 or later" if NEWER_VERSION_ERROR in message else ""
