"""Recorded series as columns on one time axis."""

from __future__ import annotations

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.console.series import Line, Range, chosen_range, read_lines
from tidegate.runtime.prometheus import Prometheus

ARRIVALS = Line("service:arrival_rate:15s")
READY = Line("tidegate_replicas", "state", "ready")


async def test_the_columns_have_the_samples_at_their_times_and_none_elsewhere() -> None:
    asked: dict[str, str] = {}

    async def query(request: web.Request) -> web.Response:
        asked.update(request.query)
        name = "__name__"
        result = [
            {"metric": {name: ARRIVALS.series}, "values": [[1000, "3.5"], [1010, "NaN"]]},
            {"metric": {name: READY.series, "state": "ready"}, "values": [[1005, "2"]]},
            {"metric": {name: READY.series, "state": "running"}, "values": [[1005, "9"]]},
        ]
        return web.json_response({"status": "success", "data": {"result": result}})

    app = web.Application()
    app.router.add_get("/api/v1/query_range", query)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        prometheus = Prometheus(session, str(server.make_url("")))
        found = await read_lines(prometheus, [ARRIVALS, READY], Range("10s", 10, 5), now=1013.0)
    assert found["times"] == [1000, 1005, 1010]
    assert found["values"] == {
        "service:arrival_rate:15s": [3.5, None, None],
        "tidegate_replicas/ready": [None, 2.0, None],
    }
    # The same times whenever it is asked within a step.
    assert (asked["start"], asked["end"], asked["step"]) == ("1000.000", "1010.000", "5.000")


def test_an_unknown_range_is_the_default() -> None:
    assert chosen_range("1h").seconds == 3600
    assert chosen_range("'; drop").name == chosen_range(None).name == "15m"
