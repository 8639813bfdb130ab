"""Kibana's responses are those of elastic/kibana 9, below src/core/packages: routes/status.ts of
status/server-internal (503 when unavailable, only the level without a login), routes/export.ts of
saved-objects/server-internal (NDJSON; a missing object is a 400 with `attributes.objects`); and
get_data_views.ts of the data_views plugin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.doubles.http_doubles import Answers, Serve
from tidegate.checks.running import kibana
from tidegate.checks.running.run import run_checks
from tidegate.observability_files.kibana import (
    data_view_requests,
    data_views,
    ndjson,
    saved_objects,
)
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

OBJECTS = saved_objects(Settings())
VIEWER = "Basic dGlkZWdhdGVfdmlld2VyOnNlY3JldA=="
Check = Callable[..., Awaitable[dict[str, Result]]]
AVAILABLE = {"level": "available", "summary": "All services are available"}


def status(level: str, **plugins: Any) -> dict[str, Any]:
    overall = {"level": level, "summary": "a summary"}
    core = {"elasticsearch": AVAILABLE, "savedObjects": AVAILABLE}
    return {
        "name": "tidegate",
        "version": {"number": "9.5.3", "build_hash": "abc"},
        "status": {"overall": overall, "core": core, "plugins": plugins},
    }


def answers() -> Answers:
    made = [one["data_view"] for one in data_view_requests(Settings())]
    views = [{"id": one["id"], "title": one["title"], "namespaces": ["default"]} for one in made]
    # Kibana migrates imported objects.
    migrated = [{**one, "typeMigrationVersion": "10.11.0"} for one in OBJECTS]
    return {
        "GET /api/status": (200, status("available", lens=AVAILABLE)),
        "GET /api/data_views": (200, {"data_view": views}),
        "POST /api/saved_objects/_export": (200, ndjson(migrated).rstrip(b"\n")),
    }


@pytest.fixture
def check(serve: Serve, target: Any, tmp_path: Path) -> Check:
    """The results for a Kibana with these responses, by their names."""
    (tmp_path / "viewer").write_text("secret\n")

    async def run(given: Answers, events: tuple[int, Any] | None = None) -> dict[str, Result]:
        url = await serve(given, login=VIEWER)
        sections: dict[str, Any] = {
            "verify": {"kibana_url": url, "kibana_password_file": tmp_path / "viewer"}
        }
        if events:  # of each data view
            found = {f"POST /{view.pattern}/_search": events for view in data_views(Settings())}
            elasticsearch = {"url": await serve(found, login=VIEWER)}
            sections["store"] = {"kind": "elasticsearch", "elasticsearch": elasticsearch}
        results = await run_checks(target(**sections), 0, checks={"Kibana": kibana.check})
        return {one.name: one for one in results["Kibana"]}

    return run


async def test_the_checks_pass_where_the_objects_are_as_imported(check: Check) -> None:
    results = await check(answers())
    states = {name: one.state for name, one in results.items()}
    passed = ("status", "data views", "saved objects")
    assert states == {**dict.fromkeys(passed, "ok"), "events": "skipped"}
    assert results["status"].text == "Kibana 9.5.3 is available"
    assert results["saved objects"].text == (
        f"all {len(OBJECTS)} are present (dashboard 10.11.0, search 10.11.0)"
    )


async def test_the_login_of_the_person_must_find_events_in_each_data_view(check: Check) -> None:
    views = {view.name.removeprefix("Tidegate ") for view in data_views(Settings())}

    def number(value: int) -> tuple[int, Any]:
        return 200, {"hits": {"total": {"value": value, "relation": "eq"}, "hits": []}}

    for value, state in ((3, "ok"), (0, "failed")):
        results = await check(answers(), number(value))
        assert {results[name].state for name in views} == {state}
    reason = "action [indices:data/read/search] is unauthorized for user [tidegate_viewer]"
    refused = {"error": {"root_cause": [{"reason": reason}], "reason": reason}, "status": 403}
    results = await check(answers(), (403, refused))
    assert results["saved objects"].state == "ok"
    assert results["events"].state == "failed"
    assert reason in results["events"].text


async def test_degraded_passes_and_names_what_is_not_available(check: Check) -> None:
    slow = {"level": "degraded", "summary": "is slow"}
    given = answers() | {"GET /api/status": (200, status("degraded", taskManager=slow))}
    found = (await check(given))["status"]
    assert (found.state, found.details) == ("ok", ("taskManager is degraded: is slow",))


async def test_unavailable_fails(check: Check) -> None:
    given = answers() | {"GET /api/status": (503, status("unavailable"))}
    found = (await check(given))["answers"]
    assert found.state == "failed"
    assert "/api/status responded with status 503" in found.text


async def test_missing_and_changed_objects_are_named(check: Check) -> None:
    given = answers()
    error = {"statusCode": 404, "error": "Not Found"}
    lost = {"type": "search", "id": "tidegate-errors", "error": error}
    given["POST /api/saved_objects/_export"] = (
        400,
        {"message": "Error fetching objects to export", "attributes": {"objects": [lost]}},
    )
    views = [{"id": "tidegate-logs", "title": "logs-*"}]
    given["GET /api/data_views"] = (200, {"data_view": views})
    results = await check(given)
    assert results["saved objects"].details == (
        "search tidegate-errors is missing: run `tidegate setup kibana`",
    )
    found = results["data views"]
    assert found.state == "failed"
    assert "tidegate-logs has the pattern logs-*, expected logs-tidegate.*-*" in found.details


async def test_an_older_version_and_another_title_are_named(check: Check) -> None:
    first, second, *others = (orjson.loads(orjson.dumps(one)) for one in OBJECTS)
    first["typeMigrationVersion"] = "7.9.0"
    second["attributes"]["title"] = "Mine"
    given = answers() | {"POST /api/saved_objects/_export": (200, ndjson([first, second, *others]))}
    found = (await check(given))["saved objects"]
    assert found.state == "failed"
    assert "has version 7.9.0, older than the imported 10.5.0" in found.details[0]
    assert "is titled 'Mine'" in found.details[1]
