"""SLOQ without metrics while the load falls: it keeps the replicas, and scales down once metrics return.

What it makes of responses without numbers or of frozen ones is in tests/unit/autoscaler/.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from support.components import IN_CI
from support.doubles.aiohttp_server import answering
from support.eventually import eventually_async
from support.processes.autoscaler_process import TICK_SECONDS, Plant, Prometheus, Sidecar, started
from tidegate.resizer.server import make_app, serve_unix

pytestmark = [pytest.mark.integration, IN_CI]

DOWN_SECONDS = 2
POLICY = f"sloq:down_seconds={DOWN_SECONDS}"
WITHOUT_SIGNALS = "held: the arrival rate is not known"
Fault = Callable[[], Awaitable[None]]
# Three times the time of a scale-down.
TICKS_WITHOUT_METRICS = round(3 * DOWN_SECONDS / TICK_SECONDS)
# Of 0.1 s each, in replicas of two slots.
HIGH_RATE, LOW_RATE, REPLICAS = 60.0, 1.0, 4


@dataclass
class VariableLoadPlant(Plant):
    """A service whose load can fall, and whose values differ slightly between scrapes, as real ones do."""

    rate: float = HIGH_RATE
    scrapes: int = 0

    async def metrics(self, request: web.Request) -> web.Response:
        text = (await super().metrics(request)).text or ""
        self.scrapes += 1
        for name, value in (("plant_seconds", 10.0), ("plant_in_system", self.in_system)):
            text = text.replace(f"{name} {value}", f"{name} {value + self.scrapes * 1e-6}")
        return web.Response(text=text.replace("_rate 10.0", f"_rate {self.rate}"))


@pytest.fixture
async def plant(prometheus: Prometheus) -> AsyncIterator[VariableLoadPlant]:
    one = VariableLoadPlant()
    async with answering(one.metrics, prometheus.target):
        yield one


@asynccontextmanager
async def running_autoscaler(
    plant: VariableLoadPlant, prometheus: str, folder: Path, port: int
) -> AsyncIterator[Sidecar]:
    """The autoscaler under SLOQ, with the replicas for a high load."""
    path = folder / "control.sock"
    settings = {"TIDEGATE_AUTOSCALER__POLICY": POLICY}
    async with (
        serve_unix(make_app(plant), path),
        started(folder, f"unix:{path}", prometheus, port, **settings) as sidecar,
    ):
        await eventually_async(lambda: plant.count >= REPLICAS)
        yield sidecar


async def check_replicas_stay(
    sidecar: Sidecar, plant: VariableLoadPlant, lose: Fault, regain: Fault
) -> None:
    """The load falls while the metrics are lost; no replica may be removed. Then both return."""
    await lose()
    plant.rate = LOW_RATE
    try:
        await eventually_async(lambda: WITHOUT_SIGNALS in sidecar.events("decision")[-1]["message"])
        before = plant.count
        await sidecar.ticks(TICKS_WITHOUT_METRICS)
        assert plant.count >= before >= REPLICAS
        assert sorted(plant.asked) == plant.asked
    finally:
        plant.rate = HIGH_RATE
        await regain()
    await sidecar.sees()


async def check_scale_down(plant: VariableLoadPlant) -> None:
    """With metrics the same fall removes replicas, so only the missing metrics kept them."""
    before = plant.count
    plant.rate = LOW_RATE
    await eventually_async(lambda: plant.count < before)


async def test_under_sloq_a_stopped_or_hanging_prometheus_removes_no_replica(
    plant: VariableLoadPlant, prometheus: Prometheus, tmp_path: Path, unused_tcp_port: int
) -> None:
    async def stop() -> None:
        await asyncio.to_thread(prometheus.stop)

    async def start() -> None:
        await asyncio.to_thread(prometheus.start)

    async def hang() -> None:
        prometheus.process.send_signal(signal.SIGSTOP)

    async def go_on() -> None:
        prometheus.process.send_signal(signal.SIGCONT)

    async with running_autoscaler(plant, prometheus.url, tmp_path, unused_tcp_port) as sidecar:
        await check_replicas_stay(sidecar, plant, stop, start)
        await check_replicas_stay(sidecar, plant, hang, go_on)
        await check_scale_down(plant)
