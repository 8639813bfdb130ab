"""Kibana's responses are those of elastic/kibana 9.5, src/platform/plugins/shared/dashboard/server/api:
read/register_read_route.ts (404 with a message for an unknown dashboard, 403 without the privilege) and what
support.samples.kibana_dashboard names. Elasticsearch's are in tests/integration/test_kibana_queries.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.doubles.http_doubles import Answers, Serve
from support.panels import kibana as kibana_panels
from support.panels.kibana_dashboards import OFTEN_EMPTY, dashboards
from support.samples.kibana_dashboard import dashboard_answer
from tidegate.observability_files.kibana import MAY_BE_EMPTY, saved_searches
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

Check = Callable[..., Awaitable[dict[str, Result]]]
(DASHBOARD,) = dashboards(Settings())
ROUTE = f"GET /api/dashboards/{DASHBOARD.id}"
UNCHANGED: Answers = {ROUTE: (200, dashboard_answer(DASHBOARD))}
# Elasticsearch's response without an event; it has what every panel asks for.
EMPTY = {
    "_shards": {"total": 1, "failed": 0},
    "hits": {"total": {"value": 0}, "hits": []},
    "aggregations": {
        "t": {"buckets": []},
        "b": {"buckets": []},
        "p95": {"values": {"95.0": None}},
        "max": {"value": None},
    },
}


@pytest.fixture
def check(serve: Serve, target: Any) -> Check:
    """The results for a Kibana and an Elasticsearch with these responses, by their names."""

    async def run(
        given: Answers,
        *,
        found: tuple[int, Any] | None = None,
        **sections: Any,
    ) -> dict[str, Result]:
        if found:  # by each search
            url = await serve(
                {f"POST /{one.view.pattern}/_search": found for one in DASHBOARD.panels}
            )
            sections["store"] = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
        made = target(verify={"kibana_url": await serve(given)}, **sections)
        results = await kibana_panels.check(made)
        return {one.name.partition(" of ")[0]: one for one in results}

    return run


async def test_the_panels_of_an_unchanged_dashboard_are_as_imported(check: Check) -> None:
    found = await check(UNCHANGED)
    text = f"all {len(DASHBOARD.panels)} are as imported"
    assert (found["panels"].state, found["panels"].text) == ("ok", text)


async def test_missing_and_changed_panels_are_named(check: Check) -> None:
    answer = dashboard_answer(DASHBOARD)
    panels = answer["data"]["panels"]
    panels[1]["config"]["title"] = "Mine"
    panels[2]["type"] = "markdown"
    moved = panels.pop(3)
    del panels[0]
    # A section has panels of its own.
    section = {"title": "S", "collapsed": True, "grid": {"y": 9}, "id": "s", "panels": [moved]}
    panels.append(section)
    found = (await check({ROUTE: (200, answer)}))["panels"]
    first, second, third, *_ = (panel.title for panel in DASHBOARD.panels)
    assert found.details == (
        f"{first} is missing: run `tidegate setup kibana`",
        f"{second} is titled 'Mine'",
        f"{third} is of the kind markdown, expected lens",
    )


async def test_a_panel_that_the_api_cannot_express_is_a_remark(check: Check) -> None:
    answer = dashboard_answer(DASHBOARD)
    dropped = answer["data"]["panels"].pop()
    said = "Unable to transform panel config. Error: no"
    panel = {"panel_type": dropped["type"], "panel_config": dropped["config"]}
    answer["warnings"] = [{"type": "dropped_panel", "message": said, **panel}]
    found = (await check({ROUTE: (200, answer)}))["panels"]
    assert (found.state, found.details) == ("ok", (said,))


@pytest.mark.parametrize("status", [403, 404])
async def test_a_dashboard_that_the_person_cannot_read_fails(check: Check, status: int) -> None:
    found = (await check({ROUTE: (status, {"message": "was not found"})}))["panels"]
    assert found.state == "failed"
    assert f"responded with status {status}: was not found" in found.text


NO_STREAM = {name: value for name, value in EMPTY.items() if name != "aggregations"}


@pytest.mark.parametrize("answer", [EMPTY, NO_STREAM], ids=["no event", "no stream"])
async def test_empty_panels_are_named_except_those_that_may_be_empty(
    check: Check, answer: dict[str, Any]
) -> None:
    found = (await check(UNCHANGED, found=(200, answer)))["data"]
    named = {line.partition(":")[0] for line in found.details}
    expected = {panel.title for panel in DASHBOARD.panels if not panel.may_be_empty}
    assert found.state == "failed"
    assert named == expected
    assert len(expected) < len(DASHBOARD.panels)


async def test_panels_of_decisions_may_be_empty_without_an_autoscaler(check: Check) -> None:
    found = await check(UNCHANGED, found=(200, EMPTY), autoscaler={"enabled": False})
    named = {line.partition(":")[0] for line in found["data"].details}
    decisions = {panel.title for panel in DASHBOARD.panels if "decision" in panel.view.pattern}
    assert decisions
    assert not named & decisions


async def test_with_an_embedded_store_there_is_nothing_to_ask(check: Check) -> None:
    assert (await check(UNCHANGED))["data"].state == "skipped"


async def test_a_wrong_password_fails_with_the_reason(check: Check) -> None:
    reason = "unable to authenticate user [tidegate_viewer] for REST request"
    error = {"root_cause": [{"reason": reason}], "reason": "x", "type": "security_exception"}
    refused = (401, {"error": error, "status": 401})
    data = (await check(UNCHANGED, found=refused))["data"]
    assert all(reason in line for line in data.details)
    assert len(data.details) == len(DASHBOARD.panels)


def test_each_name_that_may_be_empty_exists() -> None:
    names = {panel.title for panel in DASHBOARD.panels}
    assert names >= OFTEN_EMPTY
    assert {search.id for search in saved_searches(Settings())} >= MAY_BE_EMPTY
