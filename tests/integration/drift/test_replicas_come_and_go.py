"""The PSI is that of all answered rows while replicas start and stop within the window.

A real Prometheus scrapes real endpoints and evaluates the rules in use, only faster: a window of 20 s instead
of two minutes, and a scrape every 0.2 s instead of 2 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIServer

import aiohttp
import numpy as np
import numpy.typing as npt
import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from support.ports import free_port
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.monitoring.counting.reference import count_numbers
from tidegate.rules.drift_rules import FAST, SECONDS, drift_groups
from tidegate.rules.rule_files import recording_rules
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model.features import Feature
from tidegate.settings import Drift
from tidegate.stack.prometheus import write_targets

pytestmark = pytest.mark.integration

WINDOW_SECONDS = 20
SCRAPE_SECONDS = 0.2
# In production, a replica gets no request in the last 1.2 s, and is scraped every 2 s.
DRAIN_SECONDS = 0.6 * SCRAPE_SECONDS
ROWS_PER_STEP = 40
STEP_SECONDS = 0.05
FEATURE = Feature(name="x", missing=True)
random = np.random.default_rng(13)
TRAINING = random.normal(size=(50_000, 1)).astype("f4")
REFERENCE = build_reference([FEATURE], TRAINING)


def faster_rules() -> str:
    """The rules in use, with a shorter window and a shorter interval."""
    groups = drift_groups(Drift())
    selected = [
        group for group in groups if group.name in {"model-reference", f"model-drift-{FAST}"}
    ]
    text = recording_rules(selected)
    text = text.replace(f"[{FAST}]", f"[{WINDOW_SECONDS}s]")
    text = text.replace(f"time() - {SECONDS[FAST]}", f"time() - {WINDOW_SECONDS}")
    return text.replace("interval: 15s", "interval: 1s")


@dataclass
class Endpoint:
    """The metrics endpoint of one replica."""

    port: int
    server: WSGIServer
    thread: Thread
    monitor: ModelMonitor

    @classmethod
    def start(cls, port: int) -> Endpoint:
        registry = CollectorRegistry()
        monitor = ModelMonitor(
            "m", "1", REFERENCE, categories=[()], labels=["a", "b"], significance=0.01
        )
        registry.register(monitor)
        Gauge("process_start_time_seconds", "", registry=registry).set_to_current_time()
        server, thread = start_http_server(port, "127.0.0.1", registry)
        return cls(port, server, thread, monitor)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@dataclass
class Fleet:
    """Replicas, their target file for Prometheus, and every row that they answered."""

    folder: Path
    ports: list[int]
    replicas: dict[int, Endpoint] = field(default_factory=dict)
    draining: set[int] = field(default_factory=set)
    answered: list[tuple[float, npt.NDArray[np.float32]]] = field(default_factory=list)

    def add(self, number: int) -> None:
        self.replicas[number] = Endpoint.start(self.ports[number])
        self._write_targets()

    async def remove(self, number: int) -> None:
        self.draining.add(number)
        await asyncio.sleep(DRAIN_SECONDS)
        self.replicas.pop(number).stop()
        self._write_targets()

    def step(self) -> None:
        """Each replica answers some rows; those of all replicas but the first have drifted."""
        for number, replica in self.replicas.items():
            if number in self.draining:
                continue
            rows = random.normal(1.0 if number else 0.0, size=(ROWS_PER_STEP, 1)).astype("f4")
            replica.monitor.observe(rows, np.full(ROWS_PER_STEP, 0.9, "f4"))
            self.answered.append((time.time(), rows))

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            await asyncio.sleep(STEP_SECONDS)

    def rows_until(self, end: float) -> npt.NDArray[np.float32]:
        return np.concatenate(
            [rows for at, rows in self.answered if end - WINDOW_SECONDS < at <= end]
        )

    def _write_targets(self) -> None:
        addresses = {f"m-{number}": f"127.0.0.1:{at.port}" for number, at in self.replicas.items()}
        write_targets(self.folder, addresses)


@asynccontextmanager
async def prometheus(program: str, folder: Path, port: int) -> AsyncIterator[aiohttp.ClientSession]:
    (folder / "rules.yml").write_text(faster_rules())
    interval = f"{int(SCRAPE_SECONDS * 1000)}ms"
    found = [{"files": ["targets/model.json"], "refresh_interval": "1s"}]
    config = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": "1s",
        },
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "model", "file_sd_configs": found}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=output, stderr=output
        )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
    finally:
        process.kill()
        await process.wait()


async def series(session: aiohttp.ClientSession, query: str) -> list[dict[str, Any]]:
    with suppress(aiohttp.ClientError):
        async with session.get("/api/v1/query", params={"query": query}) as response:
            found: list[dict[str, Any]] = (await response.json())["data"]["result"]
            return found
    return []


async def test_the_psi_is_that_of_the_rows_while_replicas_scale_from_one_to_five_and_back(
    prometheus_program: str, tmp_path: Path
) -> None:
    fleet = Fleet(tmp_path, [free_port() for _ in range(5)])
    fleet.add(0)
    async with prometheus(prometheus_program, tmp_path, free_port()) as session:
        async with asyncio.timeout(120):
            while not await series(session, "model:feature_psi:2m"):
                await fleet.run(0.2)
        await fleet.run(2)
        for number in range(1, 5):
            fleet.add(number)
            await fleet.run(0.5)
        await fleet.run(5)
        for number in range(1, 5):
            await asyncio.gather(fleet.run(0.5), fleet.remove(number))
        await fleet.run(2)
        (stamp,) = await series(session, "timestamp(model:feature_psi:2m)")
        at = stamp["value"][1]
        (index,) = await series(session, f"model:feature_psi:2m @ {at}")
        counts = await series(session, f"model:feature_observations:2m @ {at}")
    fleet.replicas[0].stop()
    rows = fleet.rows_until(float(at))
    bins = REFERENCE.features[0]
    expected = count_numbers(bins.edges, rows[:, 0])
    # All drift is in the rows of the stopped replicas.
    assert psi(expected, bins.counts) > 0.1
    assert float(index["value"][1]) == pytest.approx(psi(expected, bins.counts), rel=0.02)
    found = {each["metric"]["bin"]: float(each["value"][1]) for each in counts}
    assert set(found) == set(bins.bins)
    assert sum(found.values()) == pytest.approx(len(rows), rel=0.02)
