"""The autoscaler as a process: signals, outages, and failed starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from support.eventually import eventually_async
from support.processes.autoscaler_process import (
    STALE_SECONDS,
    TOKEN,
    Plant,
    Prometheus,
    Sidecar,
    started,
    without_hiccups,
)
from tidegate.lab.replay.replay import replay
from tidegate.resizer.server import make_app
from tidegate.runtime.http_server import http_server

pytestmark = pytest.mark.integration


async def test_metrics_in_prometheus_lead_to_replicas(sidecar: Sidecar, plant: Plant) -> None:
    plant.in_system = 4.2
    await eventually_async(lambda: plant.count == 3)
    rise = next(e for e in sidecar.events("decision") if e["tidegate"]["decision"]["desired"] == 3)
    assert rise["message"] == (
        "1 → 3: 4.2 requests in the system over 2 slots is 2.1 per slot, target 0.7"
    )
    recorded = rise["tidegate"]["decision"]
    assert recorded["signals"]["arrival_rate"] == 10.0
    assert recorded["signals"]["service_seconds"] == pytest.approx(0.1)
    assert recorded["signals"]["latency_seconds"] == pytest.approx(0.1)
    assert 0 <= recorded["signals"]["age_seconds"] < STALE_SECONDS

    await sidecar.ticks(2)
    shown = await sidecar.metrics()
    assert 'tidegate_replicas{state="ready"} 3.0' in shown
    assert 'tidegate_autoscaler_decisions_total{reason="up"} 1.0' in shown
    assert plant.asked == [3]

    assert await sidecar.stop() == 0
    for event in sidecar.events("decision"):
        again = replay(event)
        recorded = event["tidegate"]["decision"]
        assert again.explanation == event["message"]
        assert orjson.dumps(again.inputs) == orjson.dumps(recorded["inputs"])


async def test_a_service_without_a_request_is_idle_not_unknown(
    sidecar: Sidecar, plant: Plant
) -> None:
    plant.in_system, plant.requests = 0.0, 0

    def is_idle() -> bool:
        recorded = sidecar.last()
        signals = recorded["signals"]
        return (recorded["reason"], signals["latency_seconds"], signals["in_system"]) == (
            "hold",
            None,
            0,
        )

    await eventually_async(is_idle)
    assert sidecar.said() == []


async def test_it_survives_an_unreachable_resizer_and_sends_its_token_over_tcp(
    plant: Plant, prometheus: Prometheus, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    port = unused_tcp_port_factory()
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN + "\n")
    address = f"http://127.0.0.1:{port}"
    async with started(
        tmp_path,
        address,
        prometheus.url,
        unused_tcp_port_factory(),
        TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE=str(token_file),
    ) as sidecar:
        away = f"resizer: the resizer at {address} cannot be reached: Connection refused"

        def everything() -> list[str]:
            return without_hiccups(event["message"] for event in sidecar.events("app"))

        await eventually_async(lambda: away in everything())
        plant.in_system = 4.2
        app = make_app(plant, tokens=lambda: (TOKEN,))
        async with http_server(app, "127.0.0.1", port, "resizer.port"):
            await eventually_async(lambda: plant.count == 3)
        await eventually_async(lambda: everything().count(away) == 2)
        assert sidecar.process.returncode is None
        app = make_app(plant, tokens=lambda: ("another",))
        async with http_server(app, "127.0.0.1", port, "resizer.port"):
            wrong = "resizer: the resizer responded with 401: the token is missing or wrong"
            await eventually_async(lambda: wrong in everything())
            assert everything().count("resizer: resolved") == 1
            token_file.write_text("another\n")
            await eventually_async(lambda: everything().count("resizer: resolved") == 2)
        assert await sidecar.stop() == 0


@pytest.mark.parametrize(
    ("addresses", "settings", "said"),
    [
        (("nowhere", "http://h:1"), {}, "'nowhere' is neither unix:PATH nor http://HOST:PORT"),
        (("unix:x", "nowhere"), {}, "prometheus: 'nowhere' is not http://HOST:PORT"),
        (
            ("unix:x", "http://h:1"),
            {"TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE": "no-such-file"},
            "autoscaler.resizer_token_file: ",
        ),
        (
            ("unix:x", "http://h:1"),
            {"TIDEGATE_STACK__DATA_DIR": "/proc/nothing"},
            "stack.data_dir: ",
        ),
    ],
)
async def test_a_failed_start_reports_its_reason(
    tmp_path: Path,
    unused_tcp_port: int,
    addresses: tuple[str, str],
    settings: dict[str, str],
    said: str,
) -> None:
    async with started(tmp_path, *addresses, unused_tcp_port, **settings) as sidecar:
        _, stderr = await sidecar.process.communicate()
    assert sidecar.process.returncode == 2
    assert said in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_a_metrics_port_in_use_is_reported(tmp_path: Path, unused_tcp_port: int) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with (
        server,
        started(tmp_path, "unix:x", "http://h:1", unused_tcp_port) as sidecar,
    ):
        _, stderr = await sidecar.process.communicate()
    assert sidecar.process.returncode == 2
    assert f"autoscaler.metrics_port: port {unused_tcp_port} is taken" in stderr.decode()
