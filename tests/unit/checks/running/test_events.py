"""Which events must be in the store depends on the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.doubles.http_doubles import Serve
from tidegate.checks.running import events
from tidegate.checks.running.run import run_checks


def store(url: str, **sections: Any) -> dict[str, Any]:
    return {"store": {"kind": "elasticsearch", "elasticsearch": {"url": url}}, **sections}


def found(number: int) -> dict[str, Any]:
    hits = (200, {"hits": {"total": {"value": number, "relation": "eq"}, "hits": []}})
    patterns = ("logs-tidegate.*-*", "traces-tidegate.*-*", "logs-tidegate.decision-*")
    return {
        "GET /_nodes/_local": (200, {"nodes": {"a": {"version": "9.5.3"}}}),
        "GET /_cluster/health": (200, {"status": "yellow"}),
        **{f"POST /{one}/_search": hits for one in (*patterns, ",".join(patterns[:2]))},
    }


async def test_empty_streams_fail_and_searches_for_errors_may_be_empty(
    serve: Serve, target: Any
) -> None:
    results = await events.check(target(**store(await serve(found(0)))))
    states = {one.name: one.state for one in results}
    assert states.pop("health") == "ok"
    empty = {name for name, state in states.items() if state == "ok"}
    assert empty == {
        "errors and their traces",
        "slow requests",
        "model alerts",
        "failed requests at the gateway",
    }
    assert {state for name, state in states.items() if name not in empty} == {"failed"}


async def test_what_is_disabled_is_skipped(serve: Serve, target: Any) -> None:
    off: dict[str, Any] = {"telemetry": {"tracing": "off"}, "autoscaler": {"enabled": False}}
    results = await events.check(target(**store(await serve(found(3)), **off)))
    skipped = {one.name for one in results if one.state == "skipped"}
    assert skipped == {"traces", "decisions", "autoscaler decisions"}
    assert {one.text for one in results if one.state == "ok" and one.name != "health"} == {
        "3 events"
    }


async def test_a_missing_embedded_store_is_one_sentence(target: Any, tmp_path: Path) -> None:
    without_store = target(stack={"data_dir": tmp_path})
    results = await run_checks(without_store, 0, checks={"Events": events.check})
    (only,) = results["Events"]
    assert only.state == "failed"
    assert only.text.startswith(f"there is no store at {tmp_path / 'store'}: ")
