"""The autoscaler as a process, in front of a real Prometheus and the resizer's real HTTP face."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from support import prometheus_queries
from support.doubles.memory_resizer import MemoryResizer
from support.eventually import eventually, eventually_async
from support.harnesses.event_files import events_in

TICK_SECONDS = 0.5
STALE_SECONDS = 5.0
WAIT_SECONDS = 60.0
TOKEN = "a-token-for-the-test"

# What the stack's rules record, made from the plant's few metrics instead of HAProxy's and ours.
RULES = """
groups:
  - name: service
    interval: 500ms
    rules:
      - {record: "service:arrival_rate:15s", expr: "sum(plant_arrival_rate)"}
      - {record: "service:arrival_rate:1m", expr: "sum(plant_arrival_rate)"}
      - {record: "service:slot_seconds_mean:1m", expr: "sum(plant_seconds) / sum(plant_requests)"}
      - {record: "service:slot_seconds_p95:1m", expr: "sum(plant_seconds) / sum(plant_requests)"}
      - {record: "service:latency_objective_quantile_seconds:1m",
         expr: "sum(plant_seconds) / sum(plant_requests)"}
      - {record: "service:slots_busy:now", expr: "sum(plant_in_system)"}
      - {record: "service:queue:now", expr: "0 * sum(plant_in_system)"}
      - {record: "service:slots_per_replica:now", expr: "max(plant_slots)"}
      - {record: "service:requests_in_system:now", expr: "sum(plant_in_system)"}
      - {record: "service:signal_age_seconds:now", expr: "time() - min(timestamp(plant_slots))"}
"""
CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: plant
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass
class Prometheus:
    """A Prometheus that can be stopped and started again on the same port."""

    program: str
    folder: Path
    port: int
    target: int

    def start(self) -> None:
        (self.folder / "rules.yml").write_text(RULES)
        config = self.folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=self.target))
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self.folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        eventually(self._is_ready, "Prometheus is ready")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with urllib.request.urlopen(f"{self.url}/-/ready", timeout=10):
            return True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def says(self, series: str, value: float) -> bool:
        """Whether that series has that value now."""
        return await asyncio.to_thread(prometheus_queries.value, self.url, series) == value

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)


@dataclass
class Plant(MemoryResizer):
    """A service whose metrics say what a test wants, and replicas that are ready at once."""

    in_system: float = 1.4
    arrival_rate: float = 10.0
    requests: int = 100

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        at = int(1000 * time.time())
        values = {
            "plant_arrival_rate": self.arrival_rate,
            "plant_seconds": 0.1 * self.requests,
            "plant_requests": self.requests,
            "plant_slots": 2,
            "plant_in_system": "NaN" if math.isnan(self.in_system) else self.in_system,
        }
        return web.Response(text="".join(f"{n} {v} {at}\n" for n, v in values.items()))


@dataclass
class Sidecar:
    """The autoscaler's process, and what it wrote."""

    process: asyncio.subprocess.Process
    folder: Path
    metrics_url: str

    def events(self, dataset: str) -> list[dict[str, Any]]:
        return events_in(self.folder / "data" / "logs", dataset, "autoscaler")

    def said(self) -> list[str]:
        """What was said since the first decision with signals: a start may meet an empty Prometheus."""
        decisions = self.events("decision")
        seen = [e["@timestamp"] for e in decisions if e["tidegate"]["decision"]["reason"] in GOOD]
        return without_hiccups(
            [e["message"] for e in self.events("app") if seen and e["@timestamp"] > seen[0]]
        )

    def last(self) -> dict[str, Any]:
        decisions = self.events("decision")
        return decisions[-1]["tidegate"]["decision"] if decisions else {"reason": ""}

    async def sees(self) -> None:
        await eventually_async(lambda: self.last()["reason"] in GOOD)

    async def ticks(self, count: int) -> None:
        wanted = len(self.events("decision")) + count
        await eventually_async(lambda: len(self.events("decision")) >= wanted)

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as answer:
            return await answer.text()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.process.wait()


def without_hiccups(lines: Iterable[str]) -> list[str]:
    """The lines without those that a busy machine adds because a peer was too slow for one tick.

    The condition reported before it on the same subject continues, and is not reported again.
    """
    recorded: list[str] = []
    stand: dict[str, str] = {}
    for line in lines:
        about, is_state, _ = line.partition(": ")
        slow = "does not respond" in line
        if is_state and (slow or line == stand.get(about, f"{about}: resolved")):
            continue
        stand[about] = line
        recorded.append(line)
    return recorded


GOOD = frozenset({"hold", "tolerance", "up", "down", "stabilized", "limited"})


@asynccontextmanager
async def started(
    folder: Path, resizer: str, prometheus: str, metrics_port: int, **settings: str
) -> AsyncIterator[Sidecar]:
    """The autoscaler, started as the supervisor starts it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    env |= {
        "TIDEGATE_STACK__DATA_DIR": str(folder / "data"),
        "TIDEGATE_AUTOSCALER__TICK_SECONDS": str(TICK_SECONDS),
        "TIDEGATE_AUTOSCALER__STALE_SECONDS": str(STALE_SECONDS),
        # Its numbers follow from one signal, which makes them easy to foresee.
        "TIDEGATE_AUTOSCALER__POLICY": "hpa",
        "TIDEGATE_AUTOSCALER__METRICS_PORT": str(metrics_port),
        **settings,
    }
    arguments = ["autoscaler", "--resizer", resizer, "--prometheus", prometheus]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tidegate",
        *arguments,
        cwd=folder,
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    sidecar = Sidecar(process, folder, f"http://127.0.0.1:{metrics_port}/metrics")
    try:
        yield sidecar
    finally:
        await sidecar.stop()
