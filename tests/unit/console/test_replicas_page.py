"""The page of replicas: a chart for each metric that the application has registered."""

from __future__ import annotations

from dataclasses import replace

import aiohttp
import httpx
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from tidegate.console.app import create_app
from tidegate.console.pages.replicas import own_charts
from tidegate.console.series import Range, read_queries
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings

RATE = 'sum without (instance, pod, replica) (rate(%s{job="model"}[1m]))'
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
        "basket_items": ('topk(8, basket_items{job="model"})', None),
        "orders per second": (f"topk(8, {RATE % 'orders_total'})", None),
        "free_bytes": ('topk(8, free_bytes{job="model"})', "B"),
        "in_sum": ('topk(8, in_sum{job="model"})', None),
        "price_seconds, p95 of a minute": (f"topk(8, {p95})", "s"),
        "size": ('topk(8, size{job="model"})', None),
    }


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
