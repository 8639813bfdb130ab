"""Instrumented applications that write to a temporary folder, with a clock and ids that a test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.sdk.trace.id_generator import IdGenerator
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from support.harnesses.event_files import events_in
from support.samples.asgi_apps import Endpoint, app_with
from tidegate.settings import Settings
from tidegate.telemetry import Telemetry, instrument
from tidegate.telemetry.request_record import Clock

START_NS = 1_700_000_000_000_000_000


@dataclass
class ManualClock:
    """A clock that a test advances."""

    now_ns: int = START_NS

    def advance_ms(self, milliseconds: float) -> None:
        self.now_ns += int(milliseconds * 1e6)

    def as_clock(self) -> Clock:
        return Clock(wall_ns=lambda: self.now_ns, monotonic_ns=lambda: self.now_ns - START_NS)


class CountingIds(IdGenerator):
    """Generates trace ids with 1, 2, … in the lower half, and span ids 1, 2, …"""

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
class Harness:
    """Instruments applications, and reads their events."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    ids: CountingIds = field(default_factory=CountingIds)
    telemetries: list[Telemetry] = field(default_factory=list)

    def settings(self, **telemetry: Any) -> Settings:
        return Settings(
            service={"name": "shop", "node_name": "shop-1"},
            stack={"data_dir": self.folder},
            telemetry=telemetry,
        )

    def instrument(self, app: Starlette, **telemetry: Any) -> Telemetry:
        created = instrument(
            app, self.settings(**telemetry), clock=self.clock.as_clock(), ids=self.ids
        )
        self.telemetries.append(created)
        return created

    def telemetry(self, **telemetry: Any) -> Telemetry:
        """A telemetry without an application."""
        created = Telemetry(self.settings(**telemetry), clock=self.clock.as_clock(), ids=self.ids)
        self.telemetries.append(created)
        return created

    async def get(
        self,
        endpoint: Endpoint,
        url: str = "/",
        *,
        route: str = "",
        headers: dict[str, str] | None = None,
        **telemetry: Any,
    ) -> httpx.Response:
        """The answer of an instrumented application that has this endpoint only."""
        app = app_with(endpoint, route or url)
        self.instrument(app, **telemetry)
        async with self.client(app) as client:
            return await client.get(url, headers=headers)

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of the last application."""
        return self.telemetries[-1].registry

    def exemplars(self) -> list[dict[str, str]]:
        """The labels of all exemplars of its metrics."""
        samples = (sample for family in self.registry.collect() for sample in family.samples)
        return [sample.exemplar.labels for sample in samples if sample.exemplar]

    @asynccontextmanager
    async def client(self, app: Any, **kwargs: Any) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, **kwargs)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop:80") as client:
            yield client

    def events(self, dataset: str = "") -> list[dict[str, Any]]:
        return events_in(self.folder / "logs", dataset)

    def event(self, dataset: str) -> dict[str, Any]:
        (event,) = self.events(dataset)
        return event


def duration_sample(registry: CollectorRegistry, suffix: str, **labels: str) -> float | None:
    """A sample of the duration histogram, summed over the series with these labels; None without series."""
    values = [
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"http_server_request_duration_seconds{suffix}"
        and labels.items() <= sample.labels.items()
    ]
    return sum(values) if values else None
