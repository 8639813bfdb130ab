"""The metrics on a port of their own."""

from __future__ import annotations

import os
import socket

import httpx
import pytest
from prometheus_client import REGISTRY, Counter

from support.harnesses.telemetry_harness import Harness
from support.ports import free_port
from support.samples.plain_asgi import plain_app
from tidegate.settings import SettingsError
from tidegate.telemetry import Telemetry, TelemetryMiddleware

OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


async def test_the_metrics_are_also_on_a_port_of_their_own(harness: Harness) -> None:
    port = free_port()
    telemetry = harness.telemetry(metrics_port=port, sample_ratio=1)
    Counter("cakes", "Sold cakes.", registry=telemetry.registry).inc()
    async with harness.client(TelemetryMiddleware(plain_app, telemetry)) as client:
        await client.get("/items/3")
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{port}/metrics", headers=OPENMETRICS)
    assert "cakes_total 1.0" in response.text
    assert 'http_route="/items/{item:int}"' in response.text
    assert harness.event("request")["trace"]["id"] in response.text  # the exemplar


def test_the_port_has_the_metrics_of_the_default_registry_too(harness: Harness) -> None:
    port = free_port()
    harness.telemetry(metrics_port=port)
    counter = Counter("orders", "Orders.")
    try:
        assert "orders_total 0.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        REGISTRY.unregister(counter)


def test_a_scrape_can_select_metrics_by_name(harness: Harness) -> None:
    port = free_port()
    node = harness.telemetry(metrics_port=port).origin.node
    text = httpx.get(f"http://127.0.0.1:{port}/metrics?name[]=tidegate_replica_info").text
    assert text.splitlines()[2:] == [f'tidegate_replica_info{{node="{node}"}} 1.0']


def test_closing_frees_the_port_and_opening_uses_it_again(harness: Harness) -> None:
    port = free_port()
    telemetry = harness.telemetry(metrics_port=port)
    for _ in range(2):
        telemetry.close()
        telemetry.close()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/")
        telemetry.open()
        telemetry.open()
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200


def test_a_port_or_an_address_that_cannot_be_used_stops_the_start(harness: Harness) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = (
            rf"^telemetry\.metrics_port: cannot listen on 127\.0\.0\.1:{port} .*choose a free port"
        )
        with pytest.raises(SettingsError, match=said):
            harness.telemetry(metrics_port=port)
    settings = harness.settings(metrics_port=free_port())
    elsewhere = settings.stack.model_copy(update={"metrics_host": "192.0.2.1"})
    with pytest.raises(SettingsError, match=r"listen on 192\.0\.2\.1:\d+ .*stack\.metrics_host"):
        Telemetry(settings.model_copy(update={"stack": elsewhere}))


def test_a_forked_process_does_not_keep_the_port_taken(harness: Harness) -> None:
    port = free_port()
    telemetry = harness.telemetry(metrics_port=port)
    finish_read, finish_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(finish_write)
        os.read(finish_read, 1)  # until the parent is done
        os._exit(0)
    os.close(finish_read)
    try:
        telemetry.close()
        with socket.create_server(("127.0.0.1", port)):
            pass
    finally:
        os.close(finish_write)
        assert os.waitpid(child, 0)[1] == 0
