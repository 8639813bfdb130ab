"""An autoscaler with a resizer, a Prometheus and an event log of a test, which advances the time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from support.doubles.memory_resizer import MemoryResizer
from support.harnesses.event_files import events_in
from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.gateway_signals import GatewayRead
from tidegate.autoscaler.live.loop import Autoscaler
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policies.hpa import HpaParameters, hpa
from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.resizer.contract import ReplicaStatus, ResizeRefusedError, ResizerUnavailableError
from tidegate.runtime.event_log import EventLog, Terminal


def reading_of(**signals: Any) -> Reading:
    """A reading of these signals."""
    return but(Reading(), **signals)


def but(read: Reading, **signals: Any) -> Reading:
    """The reading with other signals."""
    return replace(read, signals=replace(read.signals, **signals))


# 1.4 requests in the system need one replica, 4.2 three.
ONE = reading_of(
    arrival_rate=10.0,
    service_seconds=0.1,
    in_system=1.4,
    slots_per_replica=2,
    latency_seconds=0.2,
    age_seconds=1.0,
)
THREE = but(ONE, in_system=4.2)


@dataclass
class FaultyResizer(MemoryResizer):
    """A resizer that can be unreachable or ignore calls, and a Prometheus that returns `reading`."""

    max_replicas: int = 10
    unreachable: bool = False
    ignores_resize: bool = False
    reading: Reading = ONE
    startups: tuple[float, ...] = ()
    times_asked: int = 0

    async def read(self) -> Reading:
        return self.reading

    async def status(self) -> ReplicaStatus:
        self.times_asked += 1
        if self.unreachable:
            raise ResizerUnavailableError("gone")
        status = await super().status()
        return status.model_copy(update={"startups": list(self.startups)})

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        self.asked.append(desired)
        self.slots_asked.append(slots)
        if self.ignores_resize:
            raise ResizerUnavailableError("no response")
        if desired > self.max_replicas:
            raise ResizeRefusedError(f"at most {self.max_replicas}")
        self.count = desired
        self.slots = slots or self.slots
        return await self.status()


@dataclass
class RecordedEvents:
    """An event log, and the events written to it."""

    folder: Path
    terminal: io.StringIO = field(default_factory=io.StringIO)
    clock_ns: Callable[[], int] = lambda: 1_700_000_000_000_000_000

    def __post_init__(self) -> None:
        self.writer = EventWriter(self.folder, "autoscaler")
        origin = Origin("flights", "1.2.3", "test", "autoscaler", "default")
        self.event_log = EventLog(
            self.writer, origin, listeners=[Terminal(self.terminal)], clock_ns=self.clock_ns
        )

    def record(
        self, policy: str, state: dict[str, Any], signals: Signals, now: float, decision: Decision
    ) -> None:
        record_decision(
            self.event_log, decision, policy=policy, state=state, signals=signals, now=now
        )

    def events(self, dataset: str) -> list[dict[str, Any]]:
        return events_in(self.folder, dataset)

    def messages(self) -> list[str]:
        return [event["message"] for event in self.events("app")]


@dataclass
class AutoscalerRun:
    """An autoscaler with these doubles."""

    resizer: FaultyResizer
    recorded_events: RecordedEvents
    now: float = 0.0
    gateway: GatewayRead | None = None

    def __post_init__(self) -> None:
        decided = DecidedNumber(Bounds(0, 250), 20.0, lambda: self.now)
        self.metrics = Metrics(decided)
        self.autoscaler = Autoscaler(
            policy_name="hpa",
            policy=hpa(HpaParameters(1, 10)),
            read=self.resizer.read,
            resizer=self.resizer,
            event_log=self.recorded_events.event_log,
            metrics=self.metrics,
            read_override=lambda _: (None, ""),
            bounds=Bounds(1, 250),
            read_gateway=self.read_gateway,
            decided=decided,
            slots=2,
            unix=lambda: 1_700_000_000.0 + self.now,
        )

    async def tick(self, **changes: Any) -> int | None:
        """The number decided five seconds later, after these changes of the resizer."""
        for name, value in changes.items():
            setattr(self.resizer, name, value)
        self.now += 5.0
        decision = await self.autoscaler.tick(self.now)
        return decision.desired if decision else None

    async def read_gateway(self) -> GatewayRead | None:
        return self.gateway

    async def sense(self, arrivals: float, queued: float, *, reads: int = 1) -> list[int]:
        """The numbers decided between ticks, with reads of these each half a second."""
        self.gateway, decided = GatewayRead(0.5, arrivals, queued), list[int]()
        for _ in range(reads):
            self.now += 0.5
            if decision := await self.autoscaler.sense(self.now):
                decided.append(decision.desired)
        return decided

    def messages(self) -> list[str]:
        """What it has logged."""
        return self.recorded_events.messages()

    def decisions(self) -> list[dict[str, Any]]:
        """As they are recorded."""
        events = self.recorded_events.events("decision")
        return [event["tidegate"]["decision"] for event in events]


def metrics_text(run: AutoscalerRun) -> str:
    """The autoscaler's metrics in Prometheus' text format."""
    return generate_latest(run.metrics.registry).decode()
