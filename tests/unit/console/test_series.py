"""Recorded series as columns on one time axis."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import web
from starlette.requests import Request

from support.doubles.aiohttp_server import answering
from tidegate.console.series import Range, chosen_range, read_lines
from tidegate.runtime.prometheus import Prometheus

ARRIVALS = "service:arrival_rate:15s"
ACCURACY = "model:accuracy_realised:1h"


async def read(
    keys: list[str], result: list[dict[str, Any]], **more: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is read of this answer at 1013 s, and the query."""
    asked: dict[str, str] = {}

    async def query(request: web.Request) -> web.Response:
        asked.update(request.query)
        return web.json_response({"status": "success", "data": {"result": result}})

    async with answering(query) as url, aiohttp.ClientSession() as session:
        prometheus = Prometheus(session, url)
        found = await read_lines(prometheus, keys, Range("10s", 10, 5), 1013.0, **more)
    return found, asked


async def test_the_columns_have_the_samples_at_their_times_and_none_elsewhere() -> None:
    name = "__name__"
    result = [
        {"metric": {name: ARRIVALS}, "values": [[1000, "3.5"], [1010, "NaN"]]},
        {"metric": {name: "tidegate_replicas", "state": "ready"}, "values": [[1005, "2"]]},
        {"metric": {name: "tidegate_replicas", "state": "running"}, "values": [[1005, "9"]]},
    ]
    found, asked = await read([ARRIVALS, "tidegate_replicas ready"], result)
    assert found["times"] == [1000, 1005, 1010]
    assert "service:arrival_rate:15s|tidegate_replicas" in asked["query"]
    assert found["values"] == {
        "service:arrival_rate:15s": [3.5, None, None],
        "tidegate_replicas ready": [None, 2.0, None],
        "tidegate_replicas running": [None, 9.0, None],
    }
    # The same times whenever it is asked within a step.
    assert (asked["start"], asked["end"], asked["step"]) == ("1000.000", "1010.000", "5.000")


async def test_each_version_of_a_model_has_its_line_and_a_sample_may_be_as_old_as_its_rule() -> (
    None
):
    labels = {"__name__": ACCURACY, "model": "flights"}
    result = [
        {"metric": {**labels, "version": "1"}, "values": [[1005, "0.5"]]},
        {"metric": {**labels, "version": "2"}, "values": [[1005, "0.75"]]},
    ]
    found, asked = await read([ACCURACY], result, last="3m")
    assert found["values"] == {
        "model:accuracy_realised:1h flights 1": [None, 0.5, None],
        "model:accuracy_realised:1h flights 2": [None, 0.75, None],
    }
    assert asked["query"].endswith("[3m])")


def test_an_unknown_range_is_the_default() -> None:
    assert asked("range=1h").seconds == 3600
    assert asked("range='; drop").name == asked("").name == "15m"


def asked(query: str) -> Range:
    return chosen_range(Request({"type": "http", "query_string": query.encode()}))
