"""The few calls of Kibana's HTTP API that fill it, and what each of its refusals means."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tidegate.provision.problems import ProvisionError, reason

# Kibana refuses what changes anything without this header.
HEADERS: Final = {"kbn-xsrf": "true"}
PROBE_SECONDS: Final = 10.0
CALL_SECONDS: Final = 60.0
ERROR_CHARACTERS: Final = 300
# Levels at which it serves all of its API. `degraded`: a part of it is slow, as all are on a busy machine.
USABLE: Final = frozenset({"available", "degraded"})
# What Kibana says of an object that was made by a later version than its own.
TOO_NEW: Final = "more recent version of Kibana"


def trust(ca_file: Path, setting: str) -> ssl.SSLContext:
    """What trusts the authority in this file, which this setting names.

    Raises:
        ProvisionError: it cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ProvisionError(f"{setting}: {ca_file}: {reason(error)}") from error


@dataclass(frozen=True, slots=True)
class Kibana:
    """A Kibana at an address.

    Attributes:
        session: what carries the requests.
        url: its address.
        api_key: how to log in, as Elasticsearch encodes a key; empty where no login is asked for.
    """

    session: aiohttp.ClientSession
    url: str
    api_key: str = field(default="", repr=False)

    async def problem(self) -> str:
        """Why it is not ready, in words that stay the same while the reason does; empty if it is."""
        try:
            async with self.session.get(
                self._address("/api/status"), timeout=aiohttp.ClientTimeout(PROBE_SECONDS)
            ) as answer:
                level = _overall_level(_json(await answer.read()))
                if level in USABLE:
                    return ""
                return f"it says {level!r}" if level else f"it answers {answer.status}"
        except TimeoutError:
            return f"it does not answer within {PROBE_SECONDS:g} s"
        except (aiohttp.ClientError, OSError):
            return "it cannot be reached"

    async def version(self) -> str:
        """Its version, as `9.2.8`; empty if it does not tell."""
        version = (await self._call("GET", "/api/status")).get("version")
        return str(version.get("number", "")) if isinstance(version, dict) else ""

    async def put_data_view(self, request: dict[str, Any]) -> None:
        """Make a data view, or replace the one with its name.

        Raises:
            ProvisionError: it was refused.
        """
        await self._call("POST", "/api/data_views/data_view", json=request)

    async def propose_default(self, data_view: str) -> None:
        """Make this data view the default, unless a person has chosen one.

        Raises:
            ProvisionError: it was refused.
        """
        body = {"data_view_id": data_view, "force": False}
        await self._call("POST", "/api/data_views/default", json=body)

    async def import_objects(self, ndjson: bytes) -> int:
        """Import saved objects; those that are there already are replaced.

        Args:
            ndjson: one object a line.

        Returns:
            How many were imported.

        Raises:
            ProvisionError: some were refused; the text has a line for each.
        """
        form = aiohttp.FormData()
        # Kibana looks at the name's ending.
        form.add_field(
            "file", ndjson, filename="saved-objects.ndjson", content_type="application/ndjson"
        )
        path = "/api/saved_objects/_import?overwrite=true"
        answer = await self._call("POST", path, data=form)
        errors = answer.get("errors") or []
        if not answer.get("success") or errors:
            raise ProvisionError(_refused(self.url, errors))
        return int(answer.get("successCount", 0))

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
            ) as answer:
                content = _json(await answer.read())
                if answer.status != 200:
                    raise ProvisionError(self._explain(answer.status, f"{method} {path}", content))
                return content
        except TimeoutError as error:
            raise ProvisionError(
                f"Kibana at {self.url} did not answer {method} {path} within {CALL_SECONDS:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProvisionError(
                f"Kibana at {self.url} went away during {method} {path}: {error}"
            ) from error

    def _address(self, path: str) -> str:
        return self.url.rstrip("/") + path

    def _explain(self, status: int, what: str, content: dict[str, Any]) -> str:
        said = str(content.get("message") or "no reason given")[:ERROR_CHARACTERS]
        text = f"Kibana at {self.url} answers {status} to {what}: {said}"
        if status == 401 and self.api_key:
            return f"{text}. Does it belong to the Elasticsearch of store.elasticsearch.url?"
        if status == 401:
            return f"{text}. It asks for a login: set kibana.password_file"
        if status == 403:
            return f"{text}. The user kibana.username lacks `all` in Kibana's default space"
        if 300 <= status < 400:
            return f"{text}. Is kibana.url its whole address, with server.basePath if it has one?"
        return text + _hint(said)


def _overall_level(content: dict[str, Any]) -> str:
    status = content.get("status")
    overall = status.get("overall") if isinstance(status, dict) else None
    return str(overall.get("level", "")) if isinstance(overall, dict) else ""


def _json(content: bytes) -> dict[str, Any]:
    """The object, or an empty one: while it starts, Kibana answers in plain text."""
    try:
        read = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, dict) else {}


def _refused(url: str, errors: list[dict[str, Any]]) -> str:
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
        lines.append("  it names no object; its log says more")
    return "\n".join(lines)


def _hint(said: str) -> str:
    return ". This Kibana is too old: use 9.2 or later" if TOO_NEW in said else ""
