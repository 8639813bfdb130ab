"""Kibana: its status, and whether the data views and saved objects that we import are there."""

from __future__ import annotations

from typing import Any, Final

import orjson

from tidegate.observability_files.kibana import data_views, saved_objects
from tidegate.settings import Settings
from tidegate.verify.peer import Peer, PeerError
from tidegate.verify.results import Result, count, failed, judged, ok, skipped
from tidegate.verify.target import Target

SERVING: Final = frozenset({"available", "degraded"})
"""The levels at which Kibana serves; a busy machine may show it as degraded."""


async def check(target: Target) -> list[Result]:
    """Ask Kibana for its status, its data views and our saved objects."""
    if not target.settings.verify.kibana_url:
        return [skipped("all checks", "verify.kibana_url is not set: no Kibana")]
    kibana = target.kibana()
    return [
        await _status(kibana),
        await _data_views(target.settings, kibana),
        await _objects(target.settings, kibana),
    ]


async def _status(kibana: Peer) -> Result:
    # Without a login it answers with the level only.
    found = await kibana.get("/api/status")
    version = found.get("version", {}).get("number", "")
    status = found["status"]
    level = status["overall"]["level"]
    parts = {**status.get("core", {}), **status.get("plugins", {})}
    troubled = [
        f"{name} is {part['level']}: {part.get('summary', '')}"
        for name, part in parts.items()
        if part["level"] != "available"
    ]
    text = f"Kibana {version} is {level}".replace("  ", " ")
    if level in SERVING:
        return ok("status", text, troubled)
    return failed("status", text, troubled)


async def _data_views(settings: Settings, kibana: Peer) -> Result:
    there = {one["id"]: one["title"] for one in (await kibana.get("/api/data_views"))["data_view"]}
    wanted = {view.id: view.pattern for view in data_views(settings)}
    problems = [
        f"{id_} is not there: run `tidegate setup kibana`"
        if id_ not in there
        else f"{id_} looks at {there[id_]}, not at {title}"
        for id_, title in wanted.items()
        if there.get(id_) != title
    ]
    fine = f"all {len(wanted)} are there"
    return judged("data views", problems, fine, f"{len(problems)} of {len(wanted)} are wrong")


async def _objects(settings: Settings, kibana: Peer) -> Result:
    ours = saved_objects(settings)
    body = {
        "objects": [{"type": one["type"], "id": one["id"]} for one in ours],
        "excludeExportDetails": True,
    }
    try:
        lines = (await kibana.call("POST", "/api/saved_objects/_export", json=body)).splitlines()
    except PeerError as error:
        return failed("saved objects", "cannot be exported", _missing(error) or [str(error)])
    there = {(one["type"], one["id"]): one for one in map(orjson.loads, lines)}
    problems = [
        problem
        for one in ours
        if (problem := _difference(one, there.get((one["type"], one["id"]))))
    ]
    versions = sorted(
        {f"{one['type']} {one.get('typeMigrationVersion', '?')}" for one in there.values()}
    )
    fine = f"all {len(ours)} are there ({', '.join(versions)})"
    return judged("saved objects", problems, fine, f"{count(len(problems), 'object')} wrong")


def _missing(error: PeerError) -> list[str]:
    """The objects that a refused export names; `attributes` as in Kibana's `SavedObjectsExportError`."""
    answer = error.answer if isinstance(error.answer, dict) else {}
    objects = (answer.get("attributes") or {}).get("objects") or []
    return [
        f"{one['type']} {one['id']} is not there: run `tidegate setup kibana`" for one in objects
    ]


def _difference(ours: dict[str, Any], theirs: dict[str, Any] | None) -> str:
    """What is wrong with an object in Kibana, compared with the one that was imported; empty if nothing."""
    name = f"{ours['type']} {ours['id']}"
    if theirs is None:
        return f"{name} is not there: run `tidegate setup kibana`"
    if theirs["attributes"].get("title") != ours["attributes"]["title"]:
        return f"{name} is titled {theirs['attributes'].get('title')!r}, not {ours['attributes']['title']!r}"
    version = theirs.get("typeMigrationVersion", "0")
    if _numbers(version) < _numbers(ours["typeMigrationVersion"]):
        return f"{name} has version {version}, older than {ours['typeMigrationVersion']}, which was imported"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
