"""The panels of Kibana's dashboards: whether a person sees those that were imported, and data in each.

Everything runs with the account of that person. Kibana has no public route that runs a search
(`/internal/search` refuses requests from outside), so the panels' queries go to Elasticsearch itself. Kibana,
too, sends a search with the login of the user, so the privileges are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from support.panels.kibana_dashboards import Dashboard, Panel, dashboards
from support.panels.lens_search import has_data, search_body
from tidegate.checks.running.events import WITHOUT_EVENTS, skip_reason
from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, count, failed, ok, result_from, skipped
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.store.kinds import store_server

API_VERSION: Final = {"elastic-api-version": "2023-10-31"}
"""Of `GET /api/dashboards/<id>`, which is public since 9.4."""
MAX_CONCURRENT: Final = 4
# The names of a kind of panel: in saved objects, and in the API.
_KINDS: Final = {
    "lens": "lens",
    "vis": "lens",
    "search": "search",
    "discover_session": "search",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A panel as Kibana returns it; the id of one that its API cannot express is not known."""

    id: str | None
    title: str
    kind: str


async def check(target: Target) -> list[Result]:
    """Compare the panels of each dashboard with the imported ones, and run the query of each."""
    if not target.settings.verify.kibana_url:
        return [skipped("all checks", "verify.kibana_url is not set: no Kibana")]
    results = []
    for dashboard in dashboards(target.settings):
        results.append(await _panels(target.kibana(), dashboard))
        results.append(await data(target, dashboard))
    return results


async def _panels(kibana: HttpClient, dashboard: Dashboard) -> Result:
    name = f"panels of {dashboard.title}"
    remarks: list[str] = []
    try:
        path = f"/api/dashboards/{dashboard.id}"
        answer = orjson.loads(await kibana.call("GET", path, headers=API_VERSION))
        shown = list(_of_api(answer["data"]["panels"]))
        for warning in answer.get("warnings") or ():
            remarks.append(str(warning.get("message")))
            if warning.get("type") == "dropped_panel":
                # The dashboard's own page shows it: it reads another route, which converts nothing.
                title = str((warning.get("panel_config") or {}).get("title"))
                shown.append(_Shown(None, title, _kind(warning["panel_type"])))
    except HttpError as error:
        return failed(name, str(error))
    problems = [text for panel in dashboard.panels if (text := _difference(panel, shown))]
    if problems:
        number = count(len(dashboard.panels), "panel")
        return failed(name, f"{len(problems)} of {number} wrong", problems)
    text = f"all {len(dashboard.panels)} are as imported"
    if remarks:
        text += f", with {count(len(remarks), 'remark')} of Kibana"
    return ok(name, text, remarks)


def _of_api(panels: list[dict[str, Any]]) -> Iterator[_Shown]:
    for panel in panels:
        if "panels" in panel:  # a section
            yield from _of_api(panel["panels"])
        else:
            id_ = panel.get("id") or panel.get("uid")
            yield _Shown(id_, str(panel["config"].get("title", "")), _kind(panel["type"]))


def _kind(name: str) -> str:
    return _KINDS.get(name, name)


def _difference(panel: Panel, shown: list[_Shown]) -> str:
    """The difference of a panel in Kibana from the imported one; empty if there is none."""
    found = next((one for one in shown if one.id == panel.id), None) or next(
        (one for one in shown if one.id is None and one.title == panel.title), None
    )
    if found is None:
        return f"{panel.title} is missing: run `tidegate setup kibana`"
    if found.title != panel.title:
        return f"{panel.title} is titled {found.title!r}"
    if found.kind != panel.kind:
        return f"{panel.title} is of the kind {found.kind}, expected {panel.kind}"
    return ""


async def data(target: Target, dashboard: Dashboard) -> Result:
    """Run the query of each panel, with the login of the person in `[verify]`."""
    name = f"data of {dashboard.title}"
    if store_server(target.settings) is None:
        kind = target.settings.store.kind
        return skipped(name, f"store.kind is {kind}: Kibana shows another store")
    server = target.elasticsearch_of_viewer()
    semaphore = asyncio.Semaphore(MAX_CONCURRENT)

    async def run(panel: Panel) -> tuple[Panel, str, bool]:
        async with semaphore:
            return (panel, *await _run(server, panel, dashboard.since))

    outcomes = await asyncio.gather(*(run(panel) for panel in dashboard.panels))
    problems, remarks = [], []
    for panel, error, found in outcomes:
        if error:
            problems.append(f"{panel.title}: {error}")
        elif not found:
            if reason := _may_be_empty(target, panel):
                remarks.append(f"{panel.title}: {reason}")
            else:
                problems.append(f"{panel.title}: no data since {dashboard.since}")
    with_data = sum(found for _, _, found in outcomes)
    number = count(len(outcomes), "panel")
    if problems:
        return result_from(name, problems, "", f"{len(problems)} of {number} fail")
    return ok(name, f"{number}, {with_data} with data", remarks)


async def _run(server: HttpClient, panel: Panel, since: str) -> tuple[str, bool]:
    """The error of a panel's query (empty if it succeeds), and whether the panel has data."""
    # Kibana ignores streams that disappear, and shows an error if some shards fail.
    path = f"/{panel.view.pattern}/_search?ignore_unavailable=true"
    try:
        response = await server.post(path, search_body(panel, since))
    except HttpError as error:
        return str(error), False
    if response["_shards"]["failed"]:
        reasons = [one["reason"]["reason"] for one in response["_shards"].get("failures", ())]
        return "; ".join(dict.fromkeys(reasons)) or "some shards failed", False
    return "", has_data(panel, response)


def _may_be_empty(target: Target, panel: Panel) -> str:
    """Why a panel may have no data; empty if it must have some."""
    if panel.may_be_empty:
        return "no data, as expected"
    if target.settings.replicas.command:
        return WITHOUT_EVENTS
    return skip_reason(target, panel.view)
