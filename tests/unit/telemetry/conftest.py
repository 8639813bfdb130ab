"""Apps under telemetry that writes to a temporary folder, with times and ids that tests choose."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry.sdk.trace.id_generator import IdGenerator
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from tidegate.settings import Settings
from tidegate.telemetry import Telemetry
from tidegate.telemetry.request_record import Clock

START_NS = 1_700_000_000_000_000_000


@dataclass
class Time:
    """A clock that stands until a test moves it."""

    now_ns: int = START_NS

    def pass_ms(self, milliseconds: float) -> None:
        self.now_ns += int(milliseconds * 1e6)

    def clock(self) -> Clock:
        return Clock(wall_ns=lambda: self.now_ns, monotonic_ns=lambda: self.now_ns - START_NS)


class CountingIds(IdGenerator):
    """Trace ids 1, 2, … in their lower half; span ids 1, 2, …"""

    def __init__(self) -> None:
        self.traces = 0
        self.spans = 0

    def generate_trace_id(self) -> int:
        self.traces += 1
        return (0xABC << 64) | self.traces

    def generate_span_id(self) -> int:
        self.spans += 1
        return self.spans


@dataclass
class Bench:
    """Makes instrumented apps, and reads what they wrote."""

    folder: Path
    time: Time = field(default_factory=Time)
    ids: CountingIds = field(default_factory=CountingIds)
    made: list[Telemetry] = field(default_factory=list)

    def settings(self, **telemetry: Any) -> Settings:
        return Settings(
            service={"name": "shop", "node_name": "shop-1"},
            stack={"data_dir": self.folder},
            telemetry=telemetry,
        )

    def instrument(self, app: Starlette, **telemetry: Any) -> Telemetry:
        made = Telemetry(app, self.settings(**telemetry), clock=self.time.clock(), ids=self.ids)
        self.made.append(made)
        return made

    @asynccontextmanager
    async def client(self, app: Starlette, **kwargs: Any) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, **kwargs)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop:80") as client:
            yield client

    def events(self, dataset: str | None = None) -> list[dict[str, Any]]:
        lines = [
            orjson.loads(line)
            for path in sorted((self.folder / "logs").glob("*.ndjson"))
            for line in path.read_bytes().splitlines()
        ]
        wanted = None if dataset is None else f"tidegate.{dataset}"
        return [line for line in lines if wanted in (None, line["event"]["dataset"])]

    def event(self, dataset: str) -> dict[str, Any]:
        (event,) = self.events(dataset)
        return event


def sample(registry: CollectorRegistry, suffix: str, **labels: str) -> float | None:
    """A sample of the duration's histogram, summed over the series with these labels; None without one."""
    found = [
        held.value
        for family in registry.collect()
        for held in family.samples
        if held.name == f"http_server_request_duration_seconds{suffix}"
        and labels.items() <= held.labels.items()
    ]
    return sum(found) if found else None


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("OTEL_", "TIDEGATE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for telemetry in made.made:
        telemetry.close()
    made.made.clear()
    if any(thread.name == "OtelBatchSpanRecordProcessor" for thread in threading.enumerate()):
        # Its exporter ends with it. One that still tries draws random numbers, in the midst of other tests.
        gc.collect()


@pytest.fixture
def new_bench(tmp_path: Path) -> Iterator[Callable[[str], Bench]]:
    made: list[Bench] = []

    def make(name: str) -> Bench:
        made.append(Bench(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        for telemetry in one.made:
            telemetry.close()
