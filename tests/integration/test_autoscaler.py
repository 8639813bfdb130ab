"""The autoscaler as a process, with a real Prometheus and the resizer's real HTTP face."""

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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tidegate.autoscaler.replay import replay
from tidegate.resizer.base import Replica, ReplicaStatus, ResizeRefusedError
from tidegate.resizer.server import make_app, serve_tcp, serve_unix

pytestmark = pytest.mark.integration

TICK_SECONDS = 0.5
STALE_SECONDS = 3.0
WAIT_SECONDS = 30.0
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


async def eventually(
    holds: Callable[[], object | Awaitable[object]], within: float = WAIT_SECONDS
) -> None:
    """Return when it holds, fail if it does not in time."""
    end = time.monotonic() + within
    while True:
        held = holds()
        if await held if isinstance(held, Awaitable) else held:
            return
        assert time.monotonic() < end, f"not within {within} s"
        await asyncio.sleep(0.05)


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
        end = time.monotonic() + WAIT_SECONDS
        while not self._is_ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def says(self, series: str, value: float) -> bool:
        """Whether that series has that value now."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/query", params={"query": series}) as answer,
        ):
            result = (await answer.json())["data"]["result"]
            return bool(result) and float(result[0]["value"][1]) == value

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(WAIT_SECONDS)


@dataclass
class Plant:
    """A service whose metrics say what a test wants, and replicas that are ready at once."""

    in_system: float = 1.4
    requests: int = 100
    frozen_at: float | None = None  # of an exporter that hands out old samples
    count: int = 1
    asked: list[int] = field(default_factory=list)

    async def status(self) -> ReplicaStatus:
        replicas = [Replica(id=str(n), state="ready", started_at=0.0) for n in range(self.count)]
        return ReplicaStatus(
            desired=self.count, running=self.count, ready=self.count, replicas=replicas
        )

    async def resize(self, desired: int) -> ReplicaStatus:
        if not 1 <= desired <= 6:
            raise ResizeRefusedError(f"{desired} is outside [1, 6]")
        self.asked.append(desired)
        self.count = desired
        return await self.status()

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        at = int(1000 * (self.frozen_at or time.time()))
        values = {
            "plant_arrival_rate": 10.0,
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
        found = []
        for path in sorted(self.folder.glob("data/logs/autoscaler.*.ndjson")):
            for line in path.read_bytes().splitlines():
                event = orjson.loads(line)
                if event["event"]["dataset"] == f"tidegate.{dataset}":
                    found.append(event)
        return found

    def said(self) -> list[str]:
        """What was said since the first decision with signals: a start may meet an empty Prometheus."""
        decisions = self.events("decision")
        seen = [e["@timestamp"] for e in decisions if e["tidegate"]["decision"]["reason"] in GOOD]
        return [e["message"] for e in self.events("app") if seen and e["@timestamp"] > seen[0]]

    def last(self) -> dict[str, Any]:
        decisions = self.events("decision")
        return decisions[-1]["tidegate"]["decision"] if decisions else {"reason": ""}

    async def sees(self) -> None:
        await eventually(lambda: self.last()["reason"] in GOOD)

    async def is_blind(self) -> None:
        await eventually(lambda: self.last()["reason"] == "no-signal")

    async def ticks(self, count: int) -> None:
        wanted = len(self.events("decision")) + count
        await eventually(lambda: len(self.events("decision")) >= wanted)

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as answer:
            return await answer.text()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.process.wait()


GOOD = frozenset({"hold", "tolerance", "up", "down", "stabilized", "limited"})


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory,
    unused_tcp_port_factory: Callable[[], int],
    prometheus_program: str,
) -> Iterator[Prometheus]:
    one = Prometheus(
        prometheus_program,
        tmp_path_factory.mktemp("prometheus"),
        unused_tcp_port_factory(),
        unused_tcp_port_factory(),
    )
    one.start()
    yield one
    one.stop()


@pytest.fixture
async def plant(prometheus: Prometheus) -> AsyncIterator[Plant]:
    one = Plant()
    app = web.Application()
    app.router.add_get("/metrics", one.metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", prometheus.target).start()
    # What the test before this one left in Prometheus is over.
    await eventually(lambda: prometheus.says("service:requests_in_system:now", one.in_system))
    yield one
    await runner.cleanup()


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


@pytest.fixture
async def sidecar(
    plant: Plant, prometheus: Prometheus, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Sidecar]:
    """The autoscaler of that plant, when it has seen its first signals."""
    path = tmp_path / "control.sock"
    async with (
        serve_unix(make_app(plant), path),
        started(tmp_path, f"unix:{path}", prometheus.url, unused_tcp_port) as one,
    ):
        await one.sees()
        yield one


async def test_what_prometheus_measures_becomes_replicas(sidecar: Sidecar, plant: Plant) -> None:
    plant.in_system = 4.2
    await eventually(lambda: plant.count == 3)
    rise = next(e for e in sidecar.events("decision") if e["tidegate"]["decision"]["desired"] == 3)
    assert rise["message"] == (
        "1 → 3: 4.2 requests in system over 2 slots is 2.10 a slot, target 0.70"
    )
    told = rise["tidegate"]["decision"]
    assert told["signals"]["arrival_rate"] == 10.0
    assert told["signals"]["service_seconds"] == pytest.approx(0.1)
    assert told["signals"]["latency_seconds"] == pytest.approx(0.1)
    assert 0 <= told["signals"]["age_seconds"] < STALE_SECONDS

    await sidecar.ticks(2)
    shown = await sidecar.metrics()
    assert 'tidegate_replicas{state="ready"} 3.0' in shown
    assert 'tidegate_autoscaler_decisions_total{reason="up"} 1.0' in shown
    assert plant.asked == [3]

    assert await sidecar.stop() == 0
    for event in sidecar.events("decision"):
        again = replay(event)
        told = event["tidegate"]["decision"]
        assert again.explanation == event["message"]
        assert orjson.dumps(again.inputs) == orjson.dumps(told["inputs"])


async def test_a_service_without_a_request_is_idle_not_unknown(
    sidecar: Sidecar, plant: Plant
) -> None:
    plant.in_system, plant.requests = 0.0, 0
    await eventually(lambda: sidecar.last()["signals"]["latency_seconds"] is None)
    assert sidecar.last()["reason"] == "hold"
    assert sidecar.last()["signals"]["in_system"] == 0.0
    assert sidecar.said() == []


async def test_metrics_that_stand_still_are_held_for(sidecar: Sidecar, plant: Plant) -> None:
    plant.count = 3
    plant.frozen_at, plant.in_system = time.time(), 0.0
    await sidecar.is_blind()
    held = sidecar.last()["desired"]
    await sidecar.ticks(3)
    assert sidecar.last()["desired"] == held
    assert any("older than 3 s" in line for line in sidecar.said())

    plant.frozen_at, plant.in_system = None, 1.4
    await sidecar.sees()
    assert [line for line in sidecar.said() if line.startswith("signals")] == [
        "signals: the metrics behind the signals are older than 3 s",
        "signals: all is well again",
    ]


async def test_a_signal_that_is_not_a_number_is_held_for(sidecar: Sidecar, plant: Plant) -> None:
    plant.in_system = math.nan
    await sidecar.is_blind()
    await sidecar.ticks(3)
    assert sidecar.last()["desired"] == 1
    assert len(sidecar.said()) == 1
    assert sidecar.said()[0].startswith("signals: not a number: ")
    assert "service:requests_in_system:now" in sidecar.said()[0]
    assert "tidegate_autoscaler_signal_age_seconds 0" in await sidecar.metrics()


async def test_a_prometheus_that_is_stopped_is_held_for_until_it_is_back(
    sidecar: Sidecar, plant: Plant, prometheus: Prometheus
) -> None:
    plant.in_system = 4.2
    await eventually(lambda: plant.count == 3)
    await asyncio.to_thread(prometheus.stop)
    plant.in_system = 0.0
    await sidecar.is_blind()
    await sidecar.ticks(3)
    assert plant.count == 3
    assert "tidegate_autoscaler_signal_age_seconds NaN" in await sidecar.metrics()
    await asyncio.to_thread(prometheus.start)
    await sidecar.sees()
    said = [line for line in sidecar.said() if "too slow" not in line]
    assert said[0] == f"signals: Prometheus at {prometheus.url} cannot be reached"
    assert said.count(said[0]) == 1
    assert said[-1] == "signals: all is well again"


async def test_a_prometheus_that_hangs_holds_up_no_tick(
    sidecar: Sidecar, prometheus: Prometheus
) -> None:
    prometheus.process.send_signal(signal.SIGSTOP)
    try:
        await sidecar.is_blind()
        before = len(sidecar.events("decision"))
        begin = time.monotonic()
        await sidecar.ticks(4)
        assert time.monotonic() - begin < 4 * TICK_SECONDS + 2.0
        assert len(sidecar.events("decision")) > before
    finally:
        prometheus.process.send_signal(signal.SIGCONT)
    await sidecar.sees()
    assert f"signals: Prometheus at {prometheus.url} is too slow" in sidecar.said()


async def test_a_number_that_something_else_set_is_put_right(
    sidecar: Sidecar, plant: Plant
) -> None:
    plant.in_system = 4.2
    await eventually(lambda: plant.count == 3)
    plant.count = 1
    await eventually(lambda: plant.count == 3)
    assert "something else set 1 replicas; 3 were asked for" in sidecar.said()


async def test_it_outlives_a_resizer_that_is_away_and_one_on_tcp_wants_its_token(
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
            return [event["message"] for event in sidecar.events("app")]

        await eventually(lambda: away in everything())
        plant.in_system = 4.2
        async with serve_tcp(make_app(plant, token=TOKEN), "127.0.0.1", port):
            await eventually(lambda: plant.count == 3)
        await eventually(lambda: everything().count(away) == 2)
        assert sidecar.process.returncode is None
        async with serve_tcp(make_app(plant, token="another"), "127.0.0.1", port):
            wrong = "resizer: the resizer answered 401: the token is missing or wrong"
            await eventually(lambda: wrong in everything())
        assert everything().count("resizer: all is well again") == 1
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
async def test_what_keeps_it_from_starting_is_said(
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


async def test_a_metrics_port_that_is_taken_is_said(tmp_path: Path, unused_tcp_port: int) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", unused_tcp_port)
    async with (
        server,
        started(tmp_path, "unix:x", "http://h:1", unused_tcp_port) as sidecar,
    ):
        _, stderr = await sidecar.process.communicate()
    assert sidecar.process.returncode == 2
    assert f"autoscaler.metrics_port: port {unused_tcp_port} is taken" in stderr.decode()
