"""Telemetry of other applications, served by uvicorn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.ports import free_port

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
parse: Callable[[str], Any] = text_string_to_metric_families


class Server:
    """A uvicorn process that serves one of the applications in this folder."""

    def __init__(self, app: str, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.port = free_port()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "OTEL_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", f"{app}:app", "--app-dir", str(HERE),
             "--port", str(self.port), "--timeout-graceful-shutdown", "5"],
            cwd=folder,
            env={**clean, "TIDEGATE_SERVICE__NODE_NAME": f"{app.replace('_', '-')}-1",
                 "TIDEGATE_TELEMETRY__SAMPLE_RATIO": "1", **environment},
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        # uvicorn closes the connection after an exception, so none is reused.
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=30,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        eventually(self._is_up)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        try:
            return self.client.get("/metrics").status_code == 200
        except httpx.TransportError:
            return False

    def events(self, dataset: str) -> list[dict[str, Any]]:
        return events_in(self.folder / ".tidegate" / "logs", dataset)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.client.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        code: int = self.process.returncode
        return abs(code)  # uvicorn raises the signal again at the end


StartServer = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartServer]:
    servers: list[Server] = []

    def start_one(app: str, **environment: str) -> Server:
        folder = tmp_path / f"{len(servers)}"
        folder.mkdir()
        servers.append(Server(app, folder, **environment))
        return servers[-1]

    yield start_one
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
def test_a_fastapi_app_in_three_lines(start: StartServer, tracing: str) -> None:
    shop = start("cake_shop", TIDEGATE_TELEMETRY__TRACING=tracing)
    assert shop.client.get("/cakes/lemon").json() == {"cake": "lemon"}
    assert shop.client.get("/cakes/none").status_code == 404
    assert shop.client.post("/orders/7", json=["lemon", "nut"]).json()["lines"] == 2
    assert shop.client.head("/cakes/lemon").status_code == 405
    burnt = shop.client.get("/burnt")
    assert burnt.status_code == 500

    metrics = shop.client.get("/metrics", headers=OPENMETRICS).text
    exemplars = {
        sample.exemplar.labels["trace_id"]
        for family in parse(metrics)
        for sample in family.samples
        if sample.exemplar
    }
    assert shop.stop() == signal.SIGTERM
    requests = shop.events("request")
    assert [event["message"].rpartition(" in ")[0] for event in requests] == [
        "GET /cakes/{name} 200",
        "GET /cakes/{name} 404",
        "POST /orders/{number} 200",
        "HEAD /cakes/{name} 405",
        "GET /burnt 500",
    ]
    assert requests[0]["tidegate"] == {"route": "/cakes/{name}", "cake": "lemon"}
    assert requests[0]["service"]["version"] == "4.2"
    assert len({event["event"]["id"] for event in requests}) == 5
    traces = {event["trace"]["id"] for event in requests}
    assert {event["trace"]["id"] for event in shop.events("span")} == traces
    assert exemplars
    assert exemplars <= traces
    assert burnt.headers["traceresponse"][3:35] == requests[4]["trace"]["id"]

    lines = {(e["log"]["logger"], e["message"]): e for e in shop.events("app")}
    sold = lines["cakes", "sold"]
    spans = {e["span"]["id"]: e["span"]["name"] for e in shop.events("span")}
    assert spans[requests[0]["span"]["id"]] == "GET /cakes/{name}"
    assert "look up" in spans.values()
    assert sold["trace"] == requests[0]["trace"]
    assert lines["cakes.stock", "8 left"]["trace"] == requests[2]["trace"]
    crash = requests[4]["error"]
    assert crash["message"] == "the oven is too hot"
    assert "in burnt" in crash["stack_trace"]
    assert not any("error" in event for event in shop.events("app"))
    assert ("uvicorn.error", "Application startup complete.") in lines


def test_a_starlette_app_in_three_lines(start: StartServer) -> None:
    house = start("tea_house")
    assert house.client.get("/menu/tea/green").json() == {"tea": "green"}
    assert house.client.head("/menu/tea/green").status_code == 200
    assert house.client.get("/spilt").status_code == 500
    assert house.client.get("/nowhere").status_code == 404
    assert house.stop() == signal.SIGTERM
    requests = house.events("request")
    assert [event["tidegate"]["route"] for event in requests] == [
        "/menu/tea/{name}",
        "/menu/tea/{name}",
        "/spilt",
        "",
    ]
    assert requests[0]["tidegate"]["tea"] == "green"
    assert [event["event"]["outcome"] for event in requests][2] == "failure"
    assert {event["trace"]["id"] for event in house.events("span")} == {
        event["trace"]["id"] for event in requests
    }


def test_each_response_of_a_killed_server_has_its_event(start: StartServer) -> None:
    shop = start("cake_shop")
    trace_ids: list[str] = []

    def send_requests() -> None:
        with httpx.Client(base_url=str(shop.client.base_url)) as client:
            try:
                while True:
                    trace_ids.append(client.get("/cakes/x").headers["traceresponse"][3:35])
            except httpx.TransportError:
                return

    threads = [threading.Thread(target=send_requests) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(trace_ids) > 100)
    shop.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    written = [event["trace"]["id"] for event in shop.events("request")]
    assert set(written) >= set(trace_ids)
    assert len(set(written)) == len(written) <= len(trace_ids) + len(threads)
