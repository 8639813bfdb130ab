"""A fake engine in memory, and a clock that a test sets."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from support.harnesses.event_files import MemoryLog
from tidegate.resizer.compose.containers import Container, parse_container
from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.external_stops import ExternalStopTracker
from tidegate.resizer.compose.observer import ComposeService, Observer
from tidegate.resizer.compose.quota import CpuLender
from tidegate.resizer.compose.replica_probe import ReplicaProbe
from tidegate.resizer.compose.resizer import ComposeResizer
from tidegate.resizer.compose.tasks import TaskTracker
from tidegate.settings import Replicas

Json = dict[str, Any]
SERVICE = ComposeService("shop", "model")
NEVER = "0001-01-01T00:00:00Z"


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def inspected(number: int = 1, **changes: Any) -> Json:
    """The output of `inspect` for a replica; `changes` are parts of its state, or the keys below."""
    identity = changes.pop("id", f"{number:064x}")
    labels = {
        "com.docker.compose.project": SERVICE.project,
        "com.docker.compose.service": SERVICE.name,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.config-hash": changes.pop("hash", "a"),
        "com.docker.compose.image": "sha256:1",
        **changes.pop("labels", {}),
    }
    health = changes.pop("health", "healthy")
    front = {"NetworkID": "front", "IPAddress": f"10.0.0.{number}"}
    return {
        "Id": identity,
        "Name": "/" + changes.pop("name", SERVICE.replica_name(number)),
        "Created": timestamp(changes.pop("created", 1000.0 + number)),
        "Image": "sha256:1",
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "StartedAt": timestamp(changes.pop("started", 1000.0 + number)),
            "FinishedAt": NEVER,
            **({"Health": {"Status": health}} if health else {}),
            **changes.pop("state", {}),
        },
        "Config": {"Hostname": identity[:12], "Image": "shop:1", "Labels": labels},
        "HostConfig": {"NetworkMode": "shop_front", **changes.pop("host", {})},
        "NetworkSettings": {"Networks": changes.pop("networks", {"shop_front": front})},
        **changes,
    }


def container_event(number: int, action: str, signal: str | None = None) -> Json:
    """What the engine reports of a container."""
    attributes = {"signal": signal} if signal else {}
    return {"Action": action, "Actor": {"ID": f"{number:064x}", "Attributes": attributes}}


@dataclass
class FakeEngine:
    """Stores the output of `inspect`. `failing` is raised by every call, `refusing` by start and update."""

    containers: dict[str, Json] = field(default_factory=dict)
    failing: Exception | None = None
    refusing: Exception | None = None
    recorded_events: list[Json] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(0xABC))

    def add(self, *containers: Json) -> None:
        self.containers.update({one["Id"]: one for one in containers})

    async def replicas(
        self, project: str, service: str, exclude: Collection[int] = ()
    ) -> list[Json]:
        assert (project, service) == (SERVICE.project, SERVICE.name)
        self._check()
        return [
            one for one in self.containers.values() if parse_container(one).number not in exclude
        ]

    async def image_id(self, name: str) -> str | None:
        self._check()
        return {"shop:1": "sha256:1"}.get(name)

    async def create(self, name: str, body: Json) -> str:
        self._check()
        if any(one["Name"] == f"/{name}" for one in self.containers.values()):
            raise EngineError(409, f"the name {name} is in use")
        number = int(body["Labels"]["com.docker.compose.container-number"])
        created = inspected(number, id=f"{next(self._ids):064x}", state={"Status": "created"})
        created["Config"]["Labels"] = body["Labels"]
        created["HostConfig"] = body["HostConfig"]
        self.add(created)
        return str(created["Id"])

    async def connect(self, network: str, container: str, endpoint: Json) -> None:
        self._check()

    async def start(self, container: str) -> None:
        self._check()
        if self.refusing:
            raise self.refusing
        self.containers[container]["State"]["Status"] = "running"

    async def update(self, container: str, limits: Json) -> None:
        self._check()
        if self.refusing:
            raise self.refusing
        self.containers[container]["HostConfig"].update(limits)

    async def stop(self, container: str, seconds: float) -> None:
        self._check()
        if container not in self.containers:
            raise EngineError(404, "no such container")
        self.containers[container]["State"]["Status"] = "exited"

    async def remove(self, container: str) -> None:
        self._check()
        del self.containers[container]

    async def events(self, project: str, service: str) -> AsyncIterator[Json]:
        self._check()
        for event in self.recorded_events:
            yield event

    def _check(self) -> None:
        if self.failing:
            raise self.failing


@dataclass
class Harness:
    """A resizer with a fake engine, driven by a test."""

    engine: FakeEngine = field(default_factory=FakeEngine)
    now: float = 5000.0
    metrics: dict[str, str] = field(default_factory=dict)
    events: MemoryLog = field(default_factory=lambda: MemoryLog("resizer", dataset="resizer"))
    bounds: Replicas = field(default_factory=lambda: Replicas(min=1, max=6))

    def __post_init__(self) -> None:
        async def fetch(url: str, seconds: float) -> str | None:
            return self.metrics.get(url)

        def clock() -> float:
            return self.now

        engine: Any = self.engine
        probe, stops = ReplicaProbe(fetch, None), ExternalStopTracker(60.0)
        self.observer = Observer(engine, SERVICE, probe, stops, self.bounds, clock, clock)
        self.tasks = TaskTracker(engine, SERVICE, self.events.log, 35.0, clock, clock)
        self.new_resizer(max_slots=None)

    def new_resizer(self, max_slots: int | None) -> None:
        """Replace the resizer by one with this maximum of slots; a replica has 2 without lent CPU."""
        engine: Any = self.engine
        self.resizer = ComposeResizer(self.observer, self.tasks, CpuLender(engine, 2, max_slots))

    async def tick(self, seconds: float = 1.0, times: int = 1) -> None:
        """Run a tick, or several, and wait for the operations that it began."""
        for _ in range(times):
            self.now += seconds
            await self.resizer._try_tick()
            tasks = self.resizer.tasks
            for task in [*(task for task, _ in tasks._starts.values()), *tasks._drains.values()]:
                await task

    async def states(self) -> list[str]:
        """Of its replicas, as it reports them."""
        return [one.state for one in (await self.resizer.status()).replicas]

    async def resize(self, desired: int, slots: int | None = None, *, ticks: int = 1) -> None:
        await self.resizer.resize(desired, slots)
        await self.tick(times=ticks)

    def names(self) -> list[str]:
        return sorted(
            one["Name"].removeprefix("/shop-model-") for one in self.engine.containers.values()
        )

    def messages(self, action: str) -> list[str]:
        events = self.events.events()
        return [one["message"] for one in events if one["event"]["action"] == action]

    def event(self, number: int, action: str, signal: str | None = None) -> None:
        """Report an event of the engine to the resizer."""
        event = container_event(number, action, signal)
        self.observer.external_stops.record_event(event, self.resizer.tasks.draining, self.now)


@pytest.fixture
def replica() -> Callable[..., Json]:
    """Builds the output of `inspect` for a replica."""
    return inspected


@pytest.fixture
def engine_event() -> Callable[..., Json]:
    """Builds an event of a container."""
    return container_event


@pytest.fixture
def container() -> Callable[..., Container]:
    """Builds a parsed replica."""
    return lambda number=1, **changes: parse_container(inspected(number, **changes))


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
async def scene(harness: Harness, replica: Callable[..., Json]) -> Harness:
    """A resizer with two ready replicas."""
    harness.engine.add(replica(1), replica(2))
    await harness.resizer.initialize()
    return harness
