"""The calls of Kibana's HTTP API that set it up, and the explanation of each error."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tidegate.provision.errors import ProvisionError, reason

# Kibana refuses requests that change state without this header.
HEADERS: Final = {"kbn-xsrf": "true"}
PROBE_SECONDS: Final = 10.0
CALL_SECONDS: Final = 60.0
ERROR_CHARACTERS: Final = 300
# Levels at which the whole API is available. `degraded`: a part is slow, as on a busy machine.
READY_LEVELS: Final = frozenset({"available", "degraded"})
# A part of the error about an object that a later version created.
NEWER_VERSION_ERROR: Final = "more recent version of Kibana"


def ssl_context(ca_file: Path, setting: str) -> ssl.SSLContext:
    """A TLS context that trusts the certificate authority in a file; `setting` names it in errors.

    Raises:
        ProvisionError: the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ProvisionError(f"{setting}: {ca_file}: {reason(error)}") from error


@dataclass(frozen=True, slots=True)
class Kibana:
    """A client of one Kibana.

    Attributes:
        session: the HTTP session.
        url: the address of Kibana.
        api_key: the encoded API key; empty if Kibana requires no login.
    """

    session: aiohttp.ClientSession
    url: str
    api_key: str = field(default="", repr=False)

    async def problem(self) -> str:
        """Why Kibana is not ready; empty if it is. The same reason always has the same text."""
        try:
            async with self.session.get(
                self._address("/api/status"), timeout=aiohttp.ClientTimeout(PROBE_SECONDS)
            ) as response:
                level = _overall_level(_json(await response.read()))
                if level in READY_LEVELS:
                    return ""
                return (
                    f"its status is {level!r}" if level else f"it responds with {response.status}"
                )
        except TimeoutError:
            return f"it does not respond within {PROBE_SECONDS:g} s"
        except (aiohttp.ClientError, OSError):
            return "it cannot be reached"

    async def version(self) -> str:
        """Its version, as `9.2.8`; empty if the status has none."""
        version = (await self._call("GET", "/api/status")).get("version")
        return str(version.get("number", "")) if isinstance(version, dict) else ""

    async def put_data_view(self, request: dict[str, Any]) -> None:
        """Create a data view, or replace the one of the same name.

        Raises:
            ProvisionError: Kibana refused it.
        """
        await self._call("POST", "/api/data_views/data_view", json=request)

    async def set_default_data_view(self, data_view: str) -> None:
        """Make this data view the default, unless a user has chosen another.

        Raises:
            ProvisionError: Kibana refused it.
        """
        body = {"data_view_id": data_view, "force": False}
        await self._call("POST", "/api/data_views/default", json=body)

    async def import_objects(self, ndjson: bytes) -> int:
        """Import saved objects; existing ones are replaced.

        Args:
            ndjson: one object per line.

        Returns:
            The number of imported objects.

        Raises:
            ProvisionError: Kibana refused objects; the text has a line for each.
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
            raise ProvisionError(_import_error(self.url, errors))
        return int(result.get("successCount", 0))

    async def _call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        login = {"Authorization": f"ApiKey {self.api_key}"} if self.api_key else {}
        try:
            async with self.session.request(
                method,
                self._address(path),
                headers={**HEADERS, **login},
                timeout=aiohttp.ClientTimeout(CALL_SECONDS),
                allow_redirects=False,
                **body,
            ) as response:
                content = _json(await response.read())
                if response.status != 200:
                    raise ProvisionError(
                        self._explain(response.status, f"{method} {path}", content)
                    )
                return content
        except TimeoutError as error:
            raise ProvisionError(
                f"Kibana at {self.url} did not respond to {method} {path} within {CALL_SECONDS:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProvisionError(
                f"Kibana at {self.url} closed the connection during {method} {path}: {error}"
            ) from error

    def _address(self, path: str) -> str:
        return self.url.rstrip("/") + path

    def _explain(self, status: int, request: str, content: dict[str, Any]) -> str:
        message = str(content.get("message") or "no reason given")[:ERROR_CHARACTERS]
        text = f"Kibana at {self.url} responds with {status} to {request}: {message}"
        if status == 401 and self.api_key:
            return f"{text}. Check that it uses the Elasticsearch of store.elasticsearch.url"
        if status == 401:
            return f"{text}. It requires a login: set kibana.password_file"
        if status == 403:
            return f"{text}. The user kibana.username lacks `all` in Kibana's default space"
        if 300 <= status < 400:
            return f"{text}. Check that kibana.url includes server.basePath, if it is set"
        return text + _hint(message)


def _overall_level(content: dict[str, Any]) -> str:
    status = content.get("status")
    overall = status.get("overall") if isinstance(status, dict) else None
    return str(overall.get("level", "")) if isinstance(overall, dict) else ""


def _json(content: bytes) -> dict[str, Any]:
    """The JSON object, or an empty one: while Kibana starts, it responds in plain text."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _import_error(url: str, errors: list[dict[str, Any]]) -> str:
    lines = [f"Kibana at {url} did not import everything:"]
    for each in errors:
        error = each.get("error") or {}
        missing = ", ".join(
            f"{one.get('type')} {one.get('id')}" for one in error.get("references", [])
        )
        why = ": ".join(
            str(part) for part in (error.get("type"), error.get("message"), missing) if part
        )
        lines.append(f"  {each.get('type')} {each.get('id')}: {why}{_hint(why)}")
    if not errors:
        lines.append("  it names no object; see its log")
    return "\n".join(lines)


def _hint(message: str) -> str:
    return ". This Kibana is too old: use 9.2 or later" if NEWER_VERSION_ERROR in message else ""
