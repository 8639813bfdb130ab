"""Grafana: its health, its data sources, and every query of its dashboards, run by Grafana itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tidegate.observability_files.paths import observability_folder
from tidegate.verify.checks.dashboard_variables import fill, values
from tidegate.verify.peer import Peer, PeerError
from tidegate.verify.results import Result, count, failed, ok, skipped
from tidegate.verify.target import Target

CONCURRENT: Final = 4
"""Queries at a time, about as many as a browser sends."""
POINTS: Final = 200
INTERVAL_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel or of an annotation, with the variables filled in.

    Attributes:
        title: of the panel or annotation.
        body: as `/api/ds/query` takes it.
    """

    title: str
    body: dict[str, Any]


async def check(target: Target) -> list[Result]:
    """Ask Grafana for its health, each data source's, and what each query of each dashboard returns."""
    if not target.settings.verify.grafana_url:
        return [skipped("all checks", "verify.grafana_url is not set: no Grafana")]
    grafana = target.grafana()
    health = await grafana.get("/api/health")
    text = f"Grafana {health['version']}, database {health['database']}"
    own = ok("health", text) if health["database"] == "ok" else failed("health", text)
    folder = observability_folder() / "grafana"
    provisioned = yaml.safe_load(
        (folder / "provisioning" / "datasources" / "tidegate.yml").read_text("utf-8")
    )
    sources = [await _source(grafana, one) for one in provisioned["datasources"]]
    files = sorted((folder / "dashboards").glob("*.json"))
    uids = [json.loads(path.read_text("utf-8"))["uid"] for path in files]
    return [own, *sources, *[await _dashboard(grafana, uid) for uid in uids]]


async def _source(grafana: Peer, source: dict[str, Any]) -> Result:
    name = f"data source {source['name']}"
    try:
        found = await grafana.get(f"/api/datasources/uid/{source['uid']}/health")
    except PeerError as error:
        return failed(name, str(error))
    return ok(name, str(found.get("message") or found.get("status")))


async def _dashboard(grafana: Peer, uid: str) -> Result:
    name = f"dashboard {uid.removeprefix('tidegate-')}"
    try:
        dashboard = (await grafana.get(f"/api/dashboards/uid/{uid}"))["dashboard"]
        chosen = await values(grafana, dashboard)
    except PeerError as error:
        return failed(name, str(error))
    gate = asyncio.Semaphore(CONCURRENT)

    async def run(query: Query) -> tuple[Query, str, bool]:
        async with gate:
            return (query, *await _run(grafana, query, dashboard["time"]))

    outcomes = await asyncio.gather(*(run(one) for one in queries(dashboard, chosen)))
    errors = [f"{query.title}: {error}" for query, error, _ in outcomes if error]
    empty = [
        f"{query.title}: no data" for query, error, filled in outcomes if not (error or filled)
    ]
    number = count(len(outcomes), "query")
    if errors:
        return failed(name, f"{len(errors)} of {number} failed", errors)
    if outcomes and len(empty) == len(outcomes):
        return failed(name, f"{number}, and none has data")
    return ok(name, f"{number}, {len(outcomes) - len(empty)} with data", empty)


def queries(dashboard: dict[str, Any], chosen: dict[str, str]) -> Iterator[Query]:
    """Every query of a dashboard's panels and annotations, as a browser would send it."""
    for panel in dashboard["panels"]:
        for inner in (panel, *panel.get("panels", ())):  # a collapsed row holds its panels
            for asked in inner.get("targets", ()):
                yield Query(inner["title"], fill(asked, chosen))
    for mark in (dashboard.get("annotations") or {}).get("list", ()):
        asked = mark.get("target") or {}
        # Grafana's own annotations have no expression.
        if asked.get("expr"):
            yield Query(
                mark["name"],
                fill(
                    {"refId": "Anno", "range": True, "datasource": mark["datasource"], **asked},
                    chosen,
                ),
            )


async def _run(grafana: Peer, query: Query, time: dict[str, str]) -> tuple[str, bool]:
    """The error of a query (empty if there is none), and whether it returned data."""
    asked = {**query.body, "intervalMs": INTERVAL_MS, "maxDataPoints": POINTS}
    try:
        answer = await grafana.post("/api/ds/query", {"queries": [asked], **time})
    except PeerError as error:
        # A query that fails is a 400 whose body has the result all the same.
        answer = error.answer
        if not isinstance(answer, dict) or "results" not in answer:
            return str(error), False
    result = answer["results"].get(asked["refId"], {})
    if "error" in result:
        return str(result["error"]), False
    filled = any(
        any(column for column in frame.get("data", {}).get("values", ()))
        for frame in result.get("frames") or ()
    )
    return "", filled
