"""Grafana: its health, its data sources, and every query of its dashboards, run through Grafana."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tidegate.observability_files.paths import observability_folder
from tidegate.verify.checks.dashboard_variables import initial_values, substitute
from tidegate.verify.component_client import ComponentClient, ComponentError
from tidegate.verify.results import Result, count, failed, ok, skipped
from tidegate.verify.target import Target

MAX_CONCURRENT: Final = 4
"""Concurrent queries, about as many as a browser sends."""
MAX_DATA_POINTS: Final = 200
INTERVAL_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel or of an annotation, with the variables substituted.

    Attributes:
        title: of the panel or annotation.
        body: the query for `/api/ds/query`.
    """

    title: str
    body: dict[str, Any]


async def check(target: Target) -> list[Result]:
    """Check Grafana's health, that of each data source, and run each query of each dashboard."""
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


async def _source(grafana: ComponentClient, source: dict[str, Any]) -> Result:
    name = f"data source {source['name']}"
    try:
        found = await grafana.get(f"/api/datasources/uid/{source['uid']}/health")
    except ComponentError as error:
        return failed(name, str(error))
    return ok(name, str(found.get("message") or found.get("status")))


async def _dashboard(grafana: ComponentClient, uid: str) -> Result:
    name = f"dashboard {uid.removeprefix('tidegate-')}"
    try:
        dashboard = (await grafana.get(f"/api/dashboards/uid/{uid}"))["dashboard"]
        variables = await initial_values(grafana, dashboard)
    except ComponentError as error:
        return failed(name, str(error))
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(query: Query) -> tuple[Query, str, bool]:
        async with semaphore:
            return (query, *await _run(grafana, query, dashboard["time"]))

    outcomes = await asyncio.gather(*(run(one) for one in queries(dashboard, variables)))
    errors = [f"{query.title}: {error}" for query, error, _ in outcomes if error]
    empty = [
        f"{query.title}: no data" for query, error, has_data in outcomes if not (error or has_data)
    ]
    number = count(len(outcomes), "query")
    if errors:
        return failed(name, f"{len(errors)} of {number} failed", errors)
    if outcomes and len(empty) == len(outcomes):
        return failed(name, f"{number}, none with data")
    return ok(name, f"{number}, {len(outcomes) - len(empty)} with data", empty)


def queries(dashboard: dict[str, Any], variables: dict[str, str]) -> Iterator[Query]:
    """Every query of a dashboard's panels and annotations, as a browser would send it."""
    for panel in dashboard["panels"]:
        for inner in (panel, *panel.get("panels", ())):  # a collapsed row contains its panels
            for target in inner.get("targets", ()):
                yield Query(inner["title"], substitute(target, variables))
    for annotation in (dashboard.get("annotations") or {}).get("list", ()):
        target = annotation.get("target") or {}
        # Grafana's built-in annotations have no expression.
        if target.get("expr"):
            yield Query(
                annotation["name"],
                substitute(
                    {
                        "refId": "Anno",
                        "range": True,
                        "datasource": annotation["datasource"],
                        **target,
                    },
                    variables,
                ),
            )


async def _run(grafana: ComponentClient, query: Query, time: dict[str, str]) -> tuple[str, bool]:
    """The error of a query (empty if it succeeded), and whether it returned data."""
    body = {**query.body, "intervalMs": INTERVAL_MS, "maxDataPoints": MAX_DATA_POINTS}
    try:
        response = await grafana.post("/api/ds/query", {"queries": [body], **time})
    except ComponentError as error:
        # The status of a failed query is 400, and the body still has the result.
        response = error.body
        if not isinstance(response, dict) or "results" not in response:
            return str(error), False
    result = response["results"].get(body["refId"], {})
    if "error" in result:
        return str(result["error"]), False
    has_data = any(
        any(column for column in frame.get("data", {}).get("values", ()))
        for frame in result.get("frames") or ()
    )
    return "", has_data
