"""`tidegate setup kibana`: sets up data views, saved searches and the dashboard in Kibana.

It can run at each start: it finds its own objects by their ids and changes no others.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tidegate.observability_files.kibana import (
    DEFAULT_DATA_VIEW,
    dashboard_path,
    data_view_requests,
    data_views,
    ndjson,
    saved_objects,
)
from tidegate.provision.commands import Report
from tidegate.provision.errors import ProvisionError
from tidegate.runtime.http_client import HttpClient, HttpError, tls_context
from tidegate.runtime.secret_files import SecretFileError, authorization, read_login
from tidegate.settings import Settings

# Kibana refuses requests that change state without this header.
HEADERS: Final = {"kbn-xsrf": "true"}
PROBE_SECONDS: Final = 10.0
CALL_SECONDS: Final = 60.0
# Levels at which the whole API is available. `degraded`: a part is slow, as on a busy machine.
READY_LEVELS: Final = frozenset({"available", "degraded"})
# A part of the error about an object that a later version created.
NEWER_VERSION_ERROR: Final = "more recent version of Kibana"
POLL_SECONDS: Final = 1.0


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


def set_up(settings: Settings, report: Report) -> None:
    """Wait until Kibana is ready, then set it up. The operation is idempotent.

    Raises:
        ProvisionError: a step failed; the steps reported before are complete.
    """
    asyncio.run(_set_up(settings, report))


async def _set_up(settings: Settings, report: Report) -> None:
    own, file = settings.kibana, settings.kibana.password_file
    try:
        tls = tls_context(own.ca_file, "kibana.ca_file")
        login = read_login(own.username if file else "", file, "kibana.password_file")
    except (HttpError, SecretFileError) as error:
        raise ProvisionError(str(error)) from error
    async with aiohttp.ClientSession() as session:
        # Its status needs no login, which it refuses while Elasticsearch starts.
        await _wait(Kibana(session, own.url, tls), own.start_seconds, report)
        kibana = Kibana(session, own.url, tls, authorization(login))
        version = await kibana.version()
        report(
            f"Kibana {version} at {own.url} is ready"
            if version
            else f"Kibana at {own.url} is ready"
        )
        await _import(kibana, settings, report)


async def _wait(kibana: Kibana, seconds: float, report: Report) -> None:
    deadline = time.monotonic() + seconds
    reported = ""
    while problem := await kibana.problem():
        if problem != reported:
            report(f"waiting for Kibana at {kibana.url}: {problem}")
            reported = problem
        if time.monotonic() > deadline:
            raise ProvisionError(
                f"Kibana at {kibana.url} was not ready within {seconds:g} s (kibana.start_seconds): "
                f"{problem}. Check kibana.url and the log of Kibana"
            )
        await asyncio.sleep(POLL_SECONDS)


async def _import(kibana: Kibana, settings: Settings, report: Report) -> None:
    # The data views come first: the objects refer to them.
    views = data_views(settings)
    for view, request in zip(views, data_view_requests(settings), strict=True):
        await kibana.post("/api/data_views/data_view", request)
        report(f"data view {view.name}: {view.pattern}")
    # Unless a user has chosen another.
    choice = {"data_view_id": DEFAULT_DATA_VIEW, "force": False}
    await kibana.post("/api/data_views/default", choice)
    (default,) = (view for view in views if view.id == DEFAULT_DATA_VIEW)
    report(f"default data view, unless another has been chosen: {default.name}")
    objects = saved_objects(settings)
    number = await kibana.import_objects(ndjson(objects))
    if number != len(objects):
        raise ProvisionError(
            f"Kibana at {kibana.url} imported {number} objects of {len(objects)} without an error"
        )
    for each in objects:
        report(f"{each['type']} {each['attributes']['title']}")
    for each in objects:
        if each["type"] == "dashboard":
            report(f"dashboard: {dashboard_path(each['id'])}")
