"""The page of replicas: a chart for each metric that the application has registered."""

from __future__ import annotations

import re
from dataclasses import replace

import aiohttp
import httpx
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from tidegate.console.app import create_app
from tidegate.console.pages.replicas import OURS, own_charts
from tidegate.console.series import Range, read_queries
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings

RATE = 'sum without (instance, pod, replica) (rate({__name__="%s",job="model"}[1m]))'
VALUE = 'topk(8, {__name__="%s",job="model"})'
NAMES = [
    *("basket_items", "orders_total", "free_bytes", "in_sum"),
    *("price_seconds_bucket", "price_seconds_count", "price_seconds_sum"),
    *("size", "size_count", "size_sum"),  # a summary
]


def test_a_counter_a_histogram_and_a_value_are_each_one_chart() -> None:
    found = {
        chart["title"]: (query, chart.get("unit")) for chart, query in own_charts(NAMES).values()
    }
    p95 = f"histogram_quantile(0.95, {RATE % 'price_seconds_bucket'})"
    assert found == {
        "basket_items": (VALUE % "basket_items", None),
        "orders per second": (f"topk(8, {RATE % 'orders_total'})", None),
        "free_bytes": (VALUE % "free_bytes", "B"),
        "in_sum": (VALUE % "in_sum", None),
        "price_seconds, p95 of a minute": (f"topk(8, {p95})", "s"),
        "size": (VALUE % "size", None),
    }


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("process_orders_total", True),
        ("python_jobs", True),
        ("target_hits_total", True),
        ("upstream_errors_total", True),
        ("process_cpu_seconds_total", False),
        ("python_info", False),
        ("target_info", False),
        ("up", False),
        ("orders_created", False),
    ],
)
def test_a_name_that_begins_as_one_of_the_client_library_is_the_applications(
    name: str, own: bool
) -> None:
    assert (re.fullmatch(OURS, name) is None) is own


async def test_a_metric_with_other_lines_at_each_time_has_a_bounded_number() -> None:
    async def query(request: web.Request) -> web.Response:
        result = [
            {
                "metric": {"user": f"{one}"},
                "values": [[1000 - one % 3 * 5, f"{one}"], [1000, "NaN"]],
            }
            for one in range(100)
        ]
        return web.json_response({"status": "success", "data": {"result": result}})

    async with answering(query) as url, aiohttp.ClientSession() as session:
        found = await read_queries(Prometheus(session, url), {"a": "x"}, Range("10s", 10, 5), 1000)
    assert found["values"].keys() == {f"a {one}" for one in range(80, 100)}


@pytest.mark.usefixtures("store")
async def test_each_replica_and_each_combination_of_labels_is_a_line(
    sources: Sources, settings: Settings
) -> None:
    asked: list[str] = []

    async def query(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        own = {
            "__name__": "shop_items",
            "instance": "127.0.0.1:1",
            "job": "model",
            "replica": "shop-1",
            "kind": "web",
        }
        result: list[dict[str, object]] = [{"metric": own, "values": [[1000, "2"]]}]
        if "{" in asked[-1]:
            result = []
        if "count by" in asked[-1]:
            names = [f"shop_{number:02}" for number in range(14)]
            result = [{"metric": {"__name__": name}, "value": [1, "1"]} for name in names]
        return web.json_response({"status": "success", "data": {"result": result}})

    event_log = EventLog.to_files(settings, "console", APP)
    async with answering(query) as url, aiohttp.ClientSession() as session:
        prometheus = Prometheus(session, url)
        span = Range("10s", 10, 5)
        found = await read_queries(prometheus, {"a": "x", "b": "y"}, span, 1000)
        assert found["values"] == {f"{key} web shop-1": [None, None, 2.0] for key in "ab"}
        app, _ = create_app(replace(sources, prometheus=prometheus), event_log)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            page = (await client.get("/replicas")).text
    assert page.count("data-chart=") == 2 + 12
    assert "Not shown: shop_12, shop_13." in page
    assert event_log.faults == 0
