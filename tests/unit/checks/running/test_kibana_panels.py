"""Kibana's responses are those of elastic/kibana 9.5, src/platform/plugins/shared/dashboard/server/api:
read/register_read_route.ts (404 with a message for an unknown dashboard, 403 without the privilege) and what
support.samples.kibana_dashboard names. Elasticsearch's are in tests/integration/test_kibana_queries.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.doubles.http_doubles import Answers, Serve
from support.samples.kibana_dashboard import dashboard_answer
from tidegate.checks.running import kibana_panels
from tidegate.observability_files.kibana import saved_objects, saved_searches
from tidegate.observability_files.kibana_dashboards import MAY_BE_EMPTY, dashboards
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

(DASHBOARD,) = dashboards(Settings())
ROUTE = f"GET /api/dashboards/{DASHBOARD.id}"
UNCHANGED: Answers = {ROUTE: (200, dashboard_answer(DASHBOARD))}
STORED = {(one["type"], one["id"]): one for one in saved_objects(Settings())}
NEW, OLD = (9, 5, 3), (9, 3, 9)
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


def searches(answer: tuple[int, Any]) -> Answers:
    """An Elasticsearch that answers each search with this."""
    return {f"POST /{panel.view.pattern}/_search": answer for panel in DASHBOARD.panels}


async def check(
    serve: Serve, target: Any, given: Answers, version: tuple[int, ...] = NEW, **sections: Any
) -> dict[str, Result]:
    url = await serve(given)
    made = target(verify={"kibana_url": url}, **sections)
    results = await kibana_panels.check(made, made.kibana(), version, STORED)
    return {one.name.partition(" of ")[0]: one for one in results}


async def test_the_panels_of_an_unchanged_dashboard_are_as_imported(
    serve: Serve, target: Any
) -> None:
    found = await check(serve, target, UNCHANGED)
    text = f"all {len(DASHBOARD.panels)} are as imported"
    assert (found["panels"].state, found["panels"].text) == ("ok", text)


async def test_missing_and_changed_panels_are_named(serve: Serve, target: Any) -> None:
    answer = dashboard_answer(DASHBOARD)
    panels = answer["data"]["panels"]
    panels[1]["config"]["title"] = "Mine"
    panels[2]["type"] = "markdown"
    moved = panels.pop(3)
    del panels[0]
    # A section has panels of its own.
    section = {"title": "S", "collapsed": True, "grid": {"y": 9}, "id": "s", "panels": [moved]}
    panels.append(section)
    found = (await check(serve, target, {ROUTE: (200, answer)}))["panels"]
    first, second, third, *_ = (panel.title for panel in DASHBOARD.panels)
    assert found.details == (
        f"{first} is missing: run `tidegate setup kibana`",
        f"{second} is titled 'Mine'",
        f"{third} is of the kind markdown, expected lens",
    )


async def test_a_panel_that_the_api_cannot_express_is_a_remark(serve: Serve, target: Any) -> None:
    answer = dashboard_answer(DASHBOARD)
    dropped = answer["data"]["panels"].pop()
    answer["warnings"] = [
        {
            "type": "dropped_panel",
            "message": "Unable to transform panel config. Error: no",
            "panel_type": dropped["type"],
            "panel_config": dropped["config"],
        }
    ]
    found = (await check(serve, target, {ROUTE: (200, answer)}))["panels"]
    assert (found.state, found.details) == ("ok", ("Unable to transform panel config. Error: no",))


@pytest.mark.parametrize("status", [403, 404])
async def test_a_dashboard_that_the_person_cannot_read_fails(
    serve: Serve, target: Any, status: int
) -> None:
    found = (await check(serve, target, {ROUTE: (status, {"message": "was not found"})}))["panels"]
    assert found.state == "failed"
    assert f"responded with status {status}: was not found" in found.text


async def test_before_the_public_route_the_exported_object_is_compared(
    serve: Serve, target: Any
) -> None:
    found = (await check(serve, target, {}, OLD))["panels"]
    assert found.state == "ok"


NO_STREAM = {name: value for name, value in EMPTY.items() if name != "aggregations"}


@pytest.mark.parametrize("answer", [EMPTY, NO_STREAM], ids=["no event", "no stream"])
async def test_empty_panels_are_named_except_those_that_may_be_empty(
    serve: Serve, target: Any, answer: dict[str, Any]
) -> None:
    url = await serve(searches((200, answer)))
    store = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
    found = (await check(serve, target, UNCHANGED, store=store))["data"]
    named = {line.partition(":")[0] for line in found.details}
    expected = {panel.title for panel in DASHBOARD.panels if not panel.may_be_empty}
    assert found.state == "failed"
    assert named == expected
    assert len(expected) < len(DASHBOARD.panels)


async def test_panels_of_decisions_may_be_empty_without_an_autoscaler(
    serve: Serve, target: Any
) -> None:
    url = await serve(searches((200, EMPTY)))
    store = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
    found = await check(serve, target, UNCHANGED, store=store, autoscaler={"enabled": False})
    named = {line.partition(":")[0] for line in found["data"].details}
    decisions = {panel.title for panel in DASHBOARD.panels if "decision" in panel.view.pattern}
    assert decisions
    assert not named & decisions


async def test_with_an_embedded_store_there_is_nothing_to_ask(serve: Serve, target: Any) -> None:
    assert (await check(serve, target, UNCHANGED))["data"].state == "skipped"


async def test_a_wrong_password_fails_with_the_reason(
    serve: Serve, target: Any, tmp_path: Path
) -> None:
    (tmp_path / "viewer").write_text("secret\n")
    reason = "unable to authenticate user [tidegate_viewer] for REST request"
    error = {"root_cause": [{"reason": reason}], "reason": "x", "type": "security_exception"}
    url = await serve(searches((401, {"error": error, "status": 401})))
    made = target(
        store={"kind": "elasticsearch", "elasticsearch": {"url": url}},
        verify={"kibana_url": url, "kibana_password_file": tmp_path / "viewer"},
    )
    results = await kibana_panels.check(made, made.kibana(), OLD, STORED)
    assert all(reason in line for line in results[1].details)
    assert len(results[1].details) == len(DASHBOARD.panels)


def test_each_name_that_may_be_empty_exists() -> None:
    names = {panel.title for panel in DASHBOARD.panels}
    names |= {search.id for search in saved_searches(Settings())}
    assert names >= MAY_BE_EMPTY
