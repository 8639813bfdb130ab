"""Kibana: its status, whether the imported objects are present and unchanged, and what a person finds.

Kibana has no public route that runs a search (`/internal/search` refuses requests from outside). It sends a
search with the login of the user, so the same login asks Elasticsearch itself.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from tidegate.checks.running.events import count_views, elasticsearch_counter
from tidegate.checks.running.target import Target
from tidegate.observability_files.kibana import data_views, saved_objects
from tidegate.runtime.check_results import Result, count, failed, ok, result_from, skipped
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.settings import Settings
from tidegate.store.kinds import owner, store_server

HEALTHY_LEVELS: Final = frozenset({"available", "degraded"})
"""The levels at which Kibana serves requests; on a busy machine it may be degraded."""


async def check(target: Target) -> list[Result]:
    """Check Kibana's status, its data views, its saved objects and the events that its user finds."""
    if not target.settings.verify.kibana_url:
        return [skipped("all checks", "verify.kibana_url is not set: no Kibana")]
    kibana = target.kibana()
    status = await kibana.get("/api/status")
    # Without a login, the response has only the level.
    version = status.get("version", {}).get("number", "")
    return [
        _status(status["status"], version),
        await _data_views(target.settings, kibana),
        await _objects(target.settings, kibana),
        *await _events(target),
    ]


async def _events(target: Target) -> list[Result]:
    if store_server(target.settings) is None:
        kind = target.settings.store.kind
        return [skipped("events", f"store.kind is {kind}: Kibana shows another store")]
    server = target.elasticsearch_of_viewer()
    try:
        return await count_views(target, elasticsearch_counter(server, owner(target.settings)))
    except HttpError as error:  # Kibana itself answers
        return [failed("events", str(error))]


def _status(status: dict[str, Any], version: str) -> Result:
    level = status["overall"]["level"]
    parts = {**status.get("core", {}), **status.get("plugins", {})}
    unavailable = [
        f"{name} is {part['level']}: {part.get('summary', '')}"
        for name, part in parts.items()
        if part["level"] != "available"
    ]
    text = f"Kibana {version} is {level}".replace("  ", " ")
    if level in HEALTHY_LEVELS:
        return ok("status", text, unavailable)
    return failed("status", text, unavailable)


async def _data_views(settings: Settings, kibana: HttpClient) -> Result:
    present = {
        one["id"]: one["title"] for one in (await kibana.get("/api/data_views"))["data_view"]
    }
    expected = {view.id: view.pattern for view in data_views(settings)}
    problems = [
        f"{id_} is missing: run `tidegate setup kibana`"
        if id_ not in present
        else f"{id_} has the pattern {present[id_]}, expected {title}"
        for id_, title in expected.items()
        if present.get(id_) != title
    ]
    text = f"all {len(expected)} are present"
    return result_from(
        "data views", problems, text, f"{len(problems)} of {len(expected)} are wrong"
    )


async def _objects(settings: Settings, kibana: HttpClient) -> Result:
    imported = saved_objects(settings)
    body = {
        "objects": [{"type": one["type"], "id": one["id"]} for one in imported],
        "excludeExportDetails": True,
    }
    try:
        lines = (await kibana.call("POST", "/api/saved_objects/_export", json=body)).splitlines()
    except HttpError as error:
        details = _missing(error) or [str(error)]
        return failed("saved objects", "cannot be exported", details)
    present = {(one["type"], one["id"]): one for one in map(orjson.loads, lines)}
    problems = [
        problem
        for one in imported
        if (problem := _difference(one, present.get((one["type"], one["id"]))))
    ]
    versions = sorted(
        {f"{one['type']} {one.get('typeMigrationVersion', '?')}" for one in present.values()}
    )
    text = f"all {len(imported)} are present ({', '.join(versions)})"
    wrong = f"{count(len(problems), 'object')} wrong"
    return result_from("saved objects", problems, text, wrong)


def _missing(error: HttpError) -> list[str]:
    """The missing objects that a failed export names; see Kibana's `SavedObjectsExportError`."""
    body = error.body if isinstance(error.body, dict) else {}
    objects = (body.get("attributes") or {}).get("objects") or []
    return [f"{one['type']} {one['id']} is missing: run `tidegate setup kibana`" for one in objects]


def _difference(imported: dict[str, Any], present: dict[str, Any] | None) -> str:
    """The difference of an object in Kibana from the imported one; empty if there is none."""
    name = f"{imported['type']} {imported['id']}"
    if present is None:
        return f"{name} is missing: run `tidegate setup kibana`"
    if present["attributes"].get("title") != imported["attributes"]["title"]:
        title, expected = present["attributes"].get("title"), imported["attributes"]["title"]
        return f"{name} is titled {title!r}, expected {expected!r}"
    version = present.get("typeMigrationVersion", "0")
    if _numbers(version) < _numbers(imported["typeMigrationVersion"]):
        return f"{name} has version {version}, older than the imported {imported['typeMigrationVersion']}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
