"""The recorded series of the status: parsed and formatted."""

from __future__ import annotations

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.stack.snapshot import (
    ARRIVALS,
    LATENCY,
    QUEUE,
    fetch_headline,
    headline_text,
)


async def test_the_values_are_read_without_nan() -> None:
    found = {ARRIVALS: "12.34", LATENCY: "NaN", QUEUE: "3"}
    result = [{"metric": {"__name__": name}, "value": [1, value]} for name, value in found.items()]
    answer = {"status": "success", "data": {"result": result}}

    async def query(request: web.Request) -> web.Response:
        del request
        return web.json_response(answer)

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        assert await fetch_headline(session, str(server.make_url(""))) == {
            ARRIVALS: 12.34,
            QUEUE: 3.0,
        }
        answer["data"] = {"result": [{}]}
        assert await fetch_headline(session, str(server.make_url(""))) == {}


def test_the_values_are_formatted_as_one_line() -> None:
    text = headline_text({ARRIVALS: 12.34, LATENCY: 0.1804, QUEUE: 3}, 0.5)
    assert text == "12.3 requests/s   p95 180 ms (objective 500 ms)   3 queued"
    assert headline_text({ARRIVALS: 0.0}, 0.5) == "0.0 requests/s   0 queued"
    assert headline_text({}, 0.5) == "no measurements yet"
