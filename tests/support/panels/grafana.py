"""Every query of Grafana's dashboards, run through Grafana as a browser runs it.

A panel that may be empty says so itself: it has a text for the case without data (`noValue`), which Grafana
shows in it. Each other panel must have data after the first requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from support.panels.dashboard_variables import initial_values, offered_terms, substitute
from tidegate.checks.running.grafana import dashboard_uids, data_sources, run_query
from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, count, failed, ok, skipped
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.settings import Settings

MAX_CONCURRENT: Final = 4
"""Concurrent queries, about as many as a browser sends."""
NAMESPACE: Final = "namespace"
"""The variable with the namespaces of the data streams."""
FEATURE: Final = "feature"
"""The variable with the features of the model; it has no value without statistics of training rows."""
ANNOTATIONS: Final = "annotations"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel, or the marks that an annotation adds to all panels.

    Attributes:
        name: its title, and the section in which it is.
        queries: for `/api/ds/query`, with the variables substituted.
        no_data_text: why it may be empty; empty if it must have data.
    """

    name: str
    queries: tuple[dict[str, Any], ...]
    no_data_text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the queries of a panel returned: the first error, if any, and whether one has data."""

    panel: Panel
    error: str
    has_data: bool


async def check(target: Target) -> list[Result]:
    """Run each query of each dashboard, as a browser would."""
    if not target.settings.verify.grafana_url:
        return [skipped("all checks", "verify.grafana_url is not set: no Grafana")]
    indices = {source["uid"]: source["jsonData"].get("index", "") for source in data_sources()}
    grafana = target.grafana()
    return [await _dashboard(target.settings, grafana, uid, indices) for uid in dashboard_uids()]


async def _dashboard(
    settings: Settings, grafana: HttpClient, uid: str, indices: dict[str, str]
) -> Result:
    name = f"dashboard {uid.removeprefix('tidegate-')}"
    try:
        dashboard = (await grafana.get(f"/api/dashboards/uid/{uid}"))["dashboard"]
        variables = await initial_values(grafana, dashboard)
        problems = await _namespace(settings, grafana, dashboard, variables, indices)
    except HttpError as error:
        return failed(name, str(error))
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(panel: Panel) -> Outcome:
        async with semaphore:
            return await _run(grafana, panel, dashboard["time"])

    outcomes = await asyncio.gather(*(run(one) for one in panels(dashboard, variables)))
    remarks = []
    for one in outcomes:
        if one.error:
            problems.append(f"{one.panel.name}: {one.error}")
        elif not one.has_data:
            if reason := one.panel.no_data_text or _without(settings, variables, one.panel):
                remarks.append(f"{one.panel.name}: no data, {reason}")
            else:
                problems.append(f"{one.panel.name}: no data")
    number = count(len(outcomes), "panel")
    if problems:
        return failed(name, f"{count(len(problems), 'problem')} in {number}", problems)
    if outcomes and len(remarks) == len(outcomes):
        return failed(name, f"{number}, none with data")
    return ok(name, f"{number}, {len(outcomes) - len(remarks)} with data", remarks)


async def _namespace(
    settings: Settings,
    grafana: HttpClient,
    dashboard: dict[str, Any],
    variables: dict[str, str],
    indices: dict[str, str],
) -> list[str]:
    """The problem of the variable that selects namespaces, if there is one."""
    for variable in dashboard["templating"]["list"]:
        if variable["name"] == NAMESPACE:
            source = substitute(variable["datasource"], variables)["uid"]
            index = indices.get(source, "")
            offered = await offered_terms(grafana, variable, source, index, dashboard["time"])
            if settings.service.namespace not in offered:
                names = ", ".join(offered) or "nothing"
                own = settings.service.namespace
                return [f"the variable {variable['label']} offers {names}, and not {own}"]
    return []


def panels(dashboard: dict[str, Any], variables: dict[str, str]) -> Iterator[Panel]:
    """Each panel with queries, and each annotation, as a browser would send them."""
    section = ""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            section = panel["title"]
        for inner in (panel, *panel.get("panels", ())):  # a collapsed row contains its panels
            if queries := inner.get("targets"):
                text = inner.get("fieldConfig", {}).get("defaults", {}).get("noValue", "")
                name = f"{inner['title']} ({section})"
                yield Panel(name, tuple(substitute(one, variables) for one in queries), text)
    for annotation in (dashboard.get("annotations") or {}).get("list", ()):
        target = annotation.get("target") or {}
        # Grafana's built-in annotations have no expression.
        if target.get("expr"):
            query = {
                "refId": "Anno",
                "range": True,
                "datasource": annotation["datasource"],
                **target,
            }
            name = f"{annotation['name']} ({ANNOTATIONS})"
            yield Panel(name, (substitute(query, variables),), "nothing happened")


def _without(settings: Settings, variables: dict[str, str], panel: Panel) -> str:
    """Why a panel has no data with these settings and this model; empty if it must have some."""
    if settings.replica_program or settings.verify.path or settings.verify.body:
        return "the application is not Tidegate's model service"
    asked = [query.get("expr") or query.get("query", "") for query in panel.queries]
    # What is missing, by the text that all of the panel's queries contain.
    off = {
        'job="autoscaler"': not settings.autoscaler.enabled and "autoscaler.enabled is false",
        'job="exporter"': not settings.exporter.logstash_url and "exporter.logstash_url is not set",
        "model:": variables.get(FEATURE) == "" and "the model has no statistics of training rows",
        "tidegate.span": settings.telemetry.tracing == "off" and "telemetry.tracing is off",
    }
    reasons = (reason for text, reason in off.items() if all(text in one for one in asked))
    return next((reason for reason in reasons if reason), "")


async def _run(grafana: HttpClient, panel: Panel, time: dict[str, str]) -> Outcome:
    has_data = False
    for query in panel.queries:
        error, found = await run_query(grafana, query, time)
        if error:
            return Outcome(panel, error, False)
        has_data = has_data or found
    return Outcome(panel, "", has_data)
