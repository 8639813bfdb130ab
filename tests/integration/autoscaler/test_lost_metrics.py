"""SLOQ when Prometheus is lost while the load falls: it holds, and goes down once it sees again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.autoscaler_process import TICK_SECONDS, Plant, Prometheus, Sidecar, eventually, started
from tidegate.resizer.server import make_app, serve_unix

pytestmark = pytest.mark.integration

DOWN_SECONDS = 2
# Only their age shall tell that signals are frozen.
POLICY = f"sloq:down_seconds={DOWN_SECONDS},surge_seconds=1,down_period_seconds=1,frozen_ticks=1000"
BLIND = "held: the arrival rate is not known"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# Blind for three times as long as it takes to go down.
BLIND_TICKS = round(3 * DOWN_SECONDS / TICK_SECONDS)
# Of 0.1 s each, in replicas of two slots.
HIGH_RATE, LOW_RATE, REPLICAS = 60.0, 1.0, 4


@dataclass
class Rated(Plant):
    """A plant whose load can fall, and whose times differ a little from scrape to scrape, as any do."""

    rate: float = HIGH_RATE
    scrapes: int = 0

    async def metrics(self, request: web.Request) -> web.Response:
        text = (await super().metrics(request)).text or ""
        self.scrapes += 1
        text = text.replace("plant_seconds 10.0", f"plant_seconds {10 + self.scrapes * 1e-6}")
        return web.Response(text=text.replace("_rate 10.0", f"_rate {self.rate}"))


@pytest.fixture
async def plant(prometheus: Prometheus) -> AsyncIterator[Rated]:
    one = Rated()
    async with serving("/metrics", one.metrics, prometheus.target):
        yield one


@asynccontextmanager
async def serving(path: str, handler: Handler, port: int) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


class Spoiled:
    """Hands Prometheus' answers on, spoilt as a test says."""

    def __init__(self, prometheus: str) -> None:
        self.how = ""
        self._prometheus = prometheus
        self._last: Any = None

    async def answer(self, request: web.Request) -> web.Response:
        if self.how == "frozen":
            return web.json_response(self._last)
        url = f"{self._prometheus}{request.rel_url}"
        async with aiohttp.ClientSession() as session, session.get(url) as found:
            self._last = await found.json()
        if self.how == "nan":
            for one in self._last["data"]["result"]:
                one["values"] = [[at, "NaN"] for at, _ in one["values"]]
        return web.json_response(self._last)


@asynccontextmanager
async def watching(
    plant: Rated, prometheus: str, folder: Path, port: int
) -> AsyncIterator[Sidecar]:
    """The autoscaler under SLOQ, with as many replicas as a high load takes."""
    path = folder / "control.sock"
    settings = {"TIDEGATE_AUTOSCALER__POLICY": POLICY}
    async with (
        serve_unix(make_app(plant), path),
        started(folder, f"unix:{path}", prometheus, port, **settings) as sidecar,
    ):
        await eventually(lambda: plant.count >= REPLICAS)
        yield sidecar


async def holds_while_blind(sidecar: Sidecar, plant: Rated) -> None:
    """The load falls, unseen; no replica may leave for it."""
    plant.rate = LOW_RATE
    await eventually(lambda: BLIND in sidecar.events("decision")[-1]["message"])
    before = plant.count
    await sidecar.ticks(BLIND_TICKS)
    assert plant.count >= before >= REPLICAS
    assert sorted(plant.asked) == plant.asked


async def goes_down(plant: Rated) -> None:
    """What shows that the replicas were too many, and nothing but blindness held them."""
    before = plant.count
    await eventually(lambda: plant.count < before)


@pytest.mark.parametrize("how", ["nan", "frozen"])
async def test_under_sloq_nan_or_frozen_responses_remove_no_replica(
    plant: Rated,
    prometheus: Prometheus,
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
    how: str,
) -> None:
    spoiled = Spoiled(prometheus.url)
    async with (
        serving("/api/v1/{what}", spoiled.answer, unused_tcp_port_factory()) as url,
        watching(plant, url, tmp_path, unused_tcp_port_factory()) as sidecar,
    ):
        spoiled.how = how
        await holds_while_blind(sidecar, plant)
        spoiled.how = ""
        await goes_down(plant)


@pytest.mark.parametrize("how", ["gone", "hangs"])
async def test_under_sloq_a_stopped_or_hanging_prometheus_removes_no_replica(
    plant: Rated, prometheus: Prometheus, tmp_path: Path, unused_tcp_port: int, how: str
) -> None:
    async with watching(plant, prometheus.url, tmp_path, unused_tcp_port) as sidecar:
        if how == "gone":
            await asyncio.to_thread(prometheus.stop)
        else:
            prometheus.process.send_signal(signal.SIGSTOP)
        try:
            await holds_while_blind(sidecar, plant)
        finally:
            if how == "gone":
                await asyncio.to_thread(prometheus.start)
            else:
                prometheus.process.send_signal(signal.SIGCONT)
        await goes_down(plant)
