"""An engine that is a dictionary, and a clock that a test moves."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.events.event import Origin
from tidegate.resizer.compose.containers import Container, read_container
from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.external_stops import OtherHands
from tidegate.resizer.compose.observer import Observer, Place
from tidegate.resizer.compose.operations import Workshop
from tidegate.resizer.compose.quota import Lender
from tidegate.resizer.compose.replica_probe import Neighbours
from tidegate.resizer.compose.resizer import ComposeResizer
from tidegate.resizer.compose.tasks import Works
from tidegate.runtime.event_log import EventLog, StreamWriter
from tidegate.settings import Replicas

Json = dict[str, Any]
PLACE = Place("shop", "model")
NEVER = "0001-01-01T00:00:00Z"


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def inspected(number: int = 1, **changes: Any) -> Json:
    """A replica as the engine shows it; `changes` are of its state, or of the keys below."""
    identity = changes.pop("id", f"{number:064x}")
    labels = {
        "com.docker.compose.project": PLACE.project,
        "com.docker.compose.service": PLACE.service,
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.config-hash": changes.pop("hash", "a"),
        "com.docker.compose.image": "sha256:1",
        **changes.pop("labels", {}),
    }
    health = changes.pop("health", "healthy")
    return {
        "Id": identity,
        "Name": "/" + changes.pop("name", PLACE.name(number)),
        "Created": moment(changes.pop("created", 1000.0 + number)),
        "Image": "sha256:1",
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "StartedAt": moment(changes.pop("started", 1000.0 + number)),
            "FinishedAt": NEVER,
            **({"Health": {"Status": health}} if health else {}),
            **changes.pop("state", {}),
        },
        "Config": {"Hostname": identity[:12], "Image": "shop:1", "Labels": labels},
        "HostConfig": {"NetworkMode": "shop_front", **changes.pop("host", {})},
        "NetworkSettings": {
            "Networks": changes.pop(
                "networks",
                {"shop_front": {"NetworkID": "front", "IPAddress": f"10.0.0.{number}"}},
            )
        },
        **changes,
    }


@dataclass
class DictionaryEngine:
    """Holds containers as `inspect` shows them. `failing` is raised by every call."""

    held: dict[str, Json] = field(default_factory=dict)
    failing: Exception | None = None
    refusing: Exception | None = None
    seen: list[Json] = field(default_factory=list)
    _ids: Any = field(default_factory=lambda: itertools.count(0xABC))

    def add(self, *containers: Json) -> None:
        self.held.update({one["Id"]: one for one in containers})

    async def replicas(self, project: str, service: str, but: Collection[int] = ()) -> list[Json]:
        assert (project, service) == (PLACE.project, PLACE.service)
        self._check()
        return [one for one in self.held.values() if read_container(one).number not in but]

    async def image_id(self, name: str) -> str | None:
        self._check()
        return {"shop:1": "sha256:1"}.get(name)

    async def create(self, name: str, body: Json) -> str:
        self._check()
        if any(one["Name"] == f"/{name}" for one in self.held.values()):
            raise EngineError(409, f"the name {name} is in use")
        number = int(body["Labels"]["com.docker.compose.container-number"])
        made = inspected(number, id=f"{next(self._ids):064x}", state={"Status": "created"})
        made["Config"]["Labels"] = body["Labels"]
        made["HostConfig"] = body["HostConfig"]
        self.add(made)
        return str(made["Id"])

    async def connect(self, network: str, container: str, endpoint: Json) -> None:
        self._check()

    async def start(self, container: str) -> None:
        self._check()
        if self.refusing:
            raise self.refusing
        self.held[container]["State"]["Status"] = "running"

    async def update(self, container: str, limits: Json) -> None:
        self._check()
        if self.refusing:
            raise self.refusing
        self.held[container]["HostConfig"].update(limits)

    async def stop(self, container: str, seconds: float) -> None:
        self._check()
        if container not in self.held:
            raise EngineError(404, "no such container")
        self.held[container]["State"]["Status"] = "exited"

    async def remove(self, container: str) -> None:
        self._check()
        del self.held[container]

    async def events(self, project: str, service: str) -> AsyncIterator[Json]:
        self._check()
        for event in self.seen:
            yield event

    def _check(self) -> None:
        if self.failing:
            raise self.failing


@dataclass
class Lab:
    """A resizer of the dictionary, whose ticks a test makes."""

    engine: DictionaryEngine = field(default_factory=DictionaryEngine)
    now: float = 5000.0
    metrics: dict[str, str] = field(default_factory=dict)
    out: io.BytesIO = field(default_factory=io.BytesIO)
    bounds: Replicas = field(default_factory=lambda: Replicas(min=1, max=6))

    def __post_init__(self) -> None:
        async def fetch(url: str, seconds: float) -> str | None:
            return self.metrics.get(url)

        def clock() -> float:
            return self.now

        origin = Origin("flights", "1", "local", "resizer", "default")
        event_log = EventLog(StreamWriter(self.out), origin, "resizer")
        engine: Any = self.engine
        self.observer = Observer(
            engine, PLACE, Neighbours(fetch, None), OtherHands(60.0), self.bounds, clock, clock
        )
        self.works = Works(Workshop(engine, PLACE, event_log, 35.0), clock, clock)
        self.lend(most=None)

    def lend(self, most: int | None) -> None:
        """Another resizer of the same, whose replicas may have so many slots instead of their own 2."""
        engine: Any = self.engine
        self.resizer = ComposeResizer(self.observer, self.works, Lender(engine, 2, most))

    async def tick(self, seconds: float = 1.0) -> None:
        """One tick later, and all that it began has ended."""
        self.now += seconds
        await self.resizer._try_tick()
        works = self.resizer.works
        for task in [*(task for task, _ in works._starts.values()), *works._drains.values()]:
            await task

    def names(self) -> list[str]:
        return sorted(one["Name"].removeprefix("/shop-model-") for one in self.engine.held.values())

    def told(self, action: str) -> list[str]:
        lines = map(json.loads, self.out.getvalue().splitlines())
        return [one["message"] for one in lines if one["event"]["action"] == action]

    def event(self, number: int, action: str, signal: str | None = None) -> None:
        """Let the resizer see an event."""
        actor = {"ID": f"{number:064x}", "Attributes": {"signal": signal} if signal else {}}
        event = {"Action": action, "Actor": actor}
        self.observer.hands.see(event, self.resizer.works.draining, self.now)


@pytest.fixture
def replica() -> Callable[..., Json]:
    """Makes a replica as the engine shows it."""
    return inspected


@pytest.fixture
def container() -> Callable[..., Container]:
    """Makes a replica as a resizer sees it."""
    return lambda number=1, **changes: read_container(inspected(number, **changes))


@pytest.fixture
def lab() -> Lab:
    return Lab()
