"""Grafana: its health, whether each data source returns data, and whether each dashboard is provisioned."""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

from tidegate.checks.running.events import WITHOUT_EVENTS
from tidegate.checks.running.target import Target
from tidegate.observability_files.paths import observability_folder
from tidegate.runtime.check_results import Result, failed, ok, result_from, skipped
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.settings import Settings
from tidegate.store.fields import TIMESTAMP

MAX_DATA_POINTS: Final = 200
INTERVAL_MS: Final = 5000
RECENT: Final = {"from": "now-15m", "to": "now"}
"""A time range with the request that `tidegate verify` has sent before."""


async def check(target: Target) -> list[Result]:
    """Check Grafana's health, each data source with a query, and that the dashboards exist."""
    if not target.settings.verify.grafana_url:
        return [skipped("all checks", "verify.grafana_url is not set: no Grafana")]
    grafana = target.grafana()
    health = await grafana.get("/api/health")
    text = f"Grafana {health['version']}, database {health['database']}"
    own = ok("health", text) if health["database"] == "ok" else failed("health", text)
    sources = [await _source(target.settings, grafana, source) for source in data_sources()]
    return [own, *sources, await _dashboards(grafana)]


def data_sources() -> list[dict[str, Any]]:
    """The provisioned data sources."""
    path = observability_folder() / "grafana" / "provisioning" / "datasources" / "tidegate.yml"
    return list(yaml.safe_load(path.read_text("utf-8"))["datasources"])


def dashboard_uids() -> list[str]:
    """The ids of the provisioned dashboards."""
    files = sorted((observability_folder() / "grafana" / "dashboards").glob("*.json"))
    return [json.loads(path.read_text("utf-8"))["uid"] for path in files]


async def _source(settings: Settings, grafana: HttpClient, source: dict[str, Any]) -> Result:
    name, uid = f"data source {source['name']}", source["uid"]
    try:
        found = await grafana.get(f"/api/datasources/uid/{uid}/health")
    except HttpError as error:
        return failed(name, str(error))
    text = str(found.get("message") or found.get("status"))
    if uid.endswith("traces") and settings.telemetry.tracing == "off":
        return ok(name, text)
    datasource = {"type": source["type"], "uid": uid}
    asked: dict[str, Any] = {"refId": "A", "datasource": datasource}
    if source["type"] == "prometheus":
        # another Prometheus has no such job
        asked |= {"expr": 'up{job="gateway"}', "instant": True}
    else:
        histogram = {"id": "2", "type": "date_histogram", "field": TIMESTAMP}
        asked |= {
            "query": f'data_stream.namespace:"{settings.service.namespace}"',
            "metrics": [{"id": "1", "type": "count"}],
            "bucketAggs": [histogram | {"settings": {"interval": "auto"}}],
            "timeField": TIMESTAMP,
        }
    problem, has_data = await run_query(grafana, asked, RECENT)
    if problem:
        return failed(name, problem)
    if has_data:
        return ok(name, f"{text}; it returns data")
    if source["type"] != "prometheus" and settings.replicas.command:
        return skipped(name, WITHOUT_EVENTS)
    what = asked.get("expr") or asked["query"]
    return failed(name, f"{text}, but {what} returns no data of the last 15 minutes")


async def _dashboards(grafana: HttpClient) -> Result:
    uids, problems = dashboard_uids(), []
    for uid in uids:
        try:
            await grafana.get(f"/api/dashboards/uid/{uid}")
        except HttpError as error:
            problems.append(f"{uid}: {error}")
    text = f"all {len(uids)} are provisioned"
    wrong = f"{len(problems)} of {len(uids)} are missing"
    return result_from("dashboards", problems, text, wrong)


async def run_query(
    grafana: HttpClient, query: dict[str, Any], time: dict[str, str]
) -> tuple[str, bool]:
    """The error of a query (empty if it succeeded), and whether it returned data."""
    body = {**query, "intervalMs": INTERVAL_MS, "maxDataPoints": MAX_DATA_POINTS}
    try:
        response = await grafana.post("/api/ds/query", {"queries": [body], **time})
    except HttpError as error:
        # The status of a failed query is 400, and the body still has the result.
        response = error.body
        if not isinstance(response, dict) or "results" not in response:
            return str(error), False
    result = response["results"].get(body["refId"], {})
    if "error" in result:
        return str(result["error"]), False
    return "", any(_has_data(frame) for frame in result.get("frames") or ())


def _has_data(frame: dict[str, Any]) -> bool:
    """Whether a data frame has a value; NaN is null, and the first of several columns is the time."""
    columns = frame.get("data", {}).get("values", [])
    values = columns[1:] if len(columns) > 1 else columns
    return any(value is not None for column in values for value in column)
