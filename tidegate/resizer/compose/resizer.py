"""The resizer: one control loop brings the containers to the desired number."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import EngineError, EngineUnavailableError
from tidegate.resizer.compose.observer import Observer
from tidegate.resizer.compose.plan import ManagedReplica, plan
from tidegate.resizer.compose.quota import CpuLender
from tidegate.resizer.compose.tasks import CONFLICT_STATUSES, TaskTracker
from tidegate.resizer.compose.template import choose_template, scaling_obstacles
from tidegate.resizer.contract import (
    Replica,
    ReplicaState,
    ReplicaStatus,
    ResizeRefusedError,
    ResizerUnavailableError,
    check_bounds,
)
from tidegate.resizer.startups import Startups
from tidegate.runtime.keep_running import keep_running

TICK_SECONDS: Final = 1.0
# Events come in bursts (six containers are started at once); one refresh handles all of them.
BURST_SECONDS: Final = 0.1
# An older status is not reported.
STALE_SECONDS: Final = 10.0


class CannotScaleError(RuntimeError):
    """The service cannot have more than one replica, or has none. The text says why."""


@dataclass(slots=True)
class ComposeResizer:
    """Scales the replicas of one service; changes no other container.

    Await `initialize` before any other method.
    """

    observer: Observer
    tasks: TaskTracker
    lender: CpuLender
    desired: int = field(default=0, init=False)
    slots: int = field(default=0, init=False)
    _template: Container | None = field(default=None, init=False)
    _draining: frozenset[str] = field(default=frozenset(), init=False)
    _starting: dict[int, float] = field(default_factory=dict, init=False)
    _startups: Startups = field(default_factory=Startups, init=False)
    _refreshed_at: float = field(default=0.0, init=False)

    async def initialize(self) -> None:
        """Read the present replicas; their number is desired until a client requests another.

        Raises:
            CannotScaleError: there is no replica, or the definition allows only one.
            EngineError: the engine refused.
            EngineUnavailableError: the engine cannot be reached.
        """
        template = await self._refresh()
        service = self.observer.service
        if template is None:
            raise CannotScaleError(
                f"resizer.service: project {service.project} has no container of service "
                f"{service.name}; start it first: docker compose up --detach {service.name}"
            )
        if reason := self._single_replica_reason(template):
            raise CannotScaleError(reason)
        bounds = self.observer.settings
        running = sum(one.is_active for one in self.observer.containers)
        self.desired = min(max(running, bounds.min), bounds.max)
        slots = self.lender.current_slots(one for one in self.observer.containers if one.is_active)
        self.slots = min(slots, self.lender.max_slots or self.lender.base_slots)
        if self.lender.max_slots is not None and (reason := self.lender.refusal_reason(template)):
            self.tasks.event_log.condition("slots", reason)

    async def status(self) -> ReplicaStatus:
        """The replicas at the last refresh, at most a second ago.

        Raises:
            ResizerUnavailableError: the engine has not responded for ten seconds.
        """
        age = self.observer.monotonic() - self._refreshed_at
        if age > STALE_SECONDS:
            raise ResizerUnavailableError(f"the Docker engine has not responded for {age:.0f} s")
        starting_since = dict(sorted({**self._starting, **self.tasks.starting}.items()))
        known = [
            (one, state)
            for one in self.observer.containers
            if one.number not in starting_since and (state := self._state(one))
        ]
        replicas = [
            Replica(
                id=one.name,
                state=state,
                started_at=one.requested_at,
                ready_at=self.observer.history.of(one).ready_at if state == "ready" else None,
            )
            for one, state in known
        ]
        replicas += [
            Replica(id=self.observer.service.replica_name(number), state="starting", started_at=at)
            for number, at in starting_since.items()
        ]
        slots = None if self.lender.refusal_reason(self._template) else self.slots
        startups = self._startups.update(replicas, self.observer.settings.start_seconds)
        return ReplicaStatus.of(self.desired, replicas, slots, "cpu", startups)

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Request a number of replicas, and of slots, to which the CPU quota of each is proportional.

        It returns before the change is complete.

        Raises:
            ResizeRefusedError: a number is out of bounds, or slots cannot be set; nothing is changed.
            ResizerUnavailableError: the engine has not responded for ten seconds; the request is retained.
        """
        if slots is not None and (reason := self.lender.refusal_reason(self._template)):
            raise ResizeRefusedError(reason)
        check_bounds(desired, self.observer.settings, slots, self.lender.max_slots)
        if slots is not None and slots != self.slots:
            self.tasks.event_log.record(
                "resize",
                f"{self.slots} → {slots} slots per replica requested: CPU changes in proportion",
                fields={
                    "tidegate": {"resizer": {"slots": {"before": self.slots, "desired": slots}}}
                },
            )
            self.slots = slots
            self.tasks.changed.set()
        if desired != self.desired:
            self.tasks.event_log.record(
                "resize",
                f"{self.desired} → {desired} replicas requested",
                fields={"tidegate": {"resizer": {"before": self.desired, "desired": desired}}},
            )
            self.desired = desired
            self.tasks.changed.set()
        return await self.status()

    async def run(self) -> None:
        """Reconcile the containers with the desired number until cancelled."""
        fault = self.tasks.event_log.fault
        events = asyncio.create_task(keep_running("engine events", self._follow_events, fault))
        try:
            while True:
                await self._try_tick()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self.tasks.changed.wait()
                        await asyncio.sleep(BURST_SECONDS)
                self.tasks.changed.clear()
        finally:
            # The engine goes on stopping the containers that drain.
            events.cancel()
            self.tasks.cancel()

    async def _try_tick(self) -> None:
        event_log = self.tasks.event_log
        try:
            await self._tick()
            event_log.resolved("engine", "the Docker engine responds again")
        except (EngineError, EngineUnavailableError) as error:
            event_log.condition("engine", str(error), level="error")

    async def _follow_events(self) -> None:
        service = self.observer.service
        while True:
            with suppress(EngineError, EngineUnavailableError):  # the tick logs them
                async for event in self.observer.engine.events(service.project, service.name):
                    self.observer.external_stops.record_event(
                        event, self.tasks.draining, self.observer.monotonic()
                    )
                    self.tasks.changed.set()
            await asyncio.sleep(TICK_SECONDS)

    async def _refresh(self) -> Container | None:
        # A task that ends during the refresh was still in progress in the state that was read.
        draining, starting = frozenset(self.tasks.draining), dict(self.tasks.starting)
        await self.observer.refresh(starting)
        self._draining, self._starting = draining, starting
        self._refreshed_at = self.observer.monotonic()
        self._template = choose_template(self.observer.containers, self._template)
        return self._template

    async def _tick(self) -> None:
        template = await self._refresh()
        now, event_log = self._refreshed_at, self.tasks.event_log
        others = [one for one in self.observer.containers if one.id not in self._draining]
        if not self._starting and self.observer.external_stops.whole_service_stopped(others, now):
            event_log.condition(
                "held",
                "the service was stopped manually: scaling is paused until a replica runs again",
            )
            return
        event_log.resolved("held", "the service runs again")
        if template is None or self.observer.compose_is_replacing():
            return
        await self._lend()
        replicas = self.observer.replicas(self._draining, template)
        if len(replicas) > self.desired:
            replicas = await self._with_loads(replicas)
        starting = {**self._starting, **self.tasks.starting}
        replicas += [ManagedReplica("", number, "starting", at) for number, at in starting.items()]
        taken = {one.number for one in self.observer.containers} | starting.keys()
        todo = plan(replicas, self.desired, taken)
        containers = {one.id: one for one in self.observer.containers}
        # A replica that is being started has no id yet: it is drained once it is started.
        for container_id in filter(None, todo.drain):
            self.tasks.drain(containers[container_id])
        for container_id in todo.restart:
            self.tasks.restart(containers[container_id])
        if not todo.create or self.observer.external_stops.recent_external_exit(now):
            return
        if self._may_create(template):
            for number in todo.create:
                self.tasks.create(template, number)

    async def _lend(self) -> None:
        """Give every running replica the CPU for the requested slots, or its base quota if lending is off."""
        event_log = self.tasks.event_log
        running = [one for one in self.observer.containers if one.is_active]
        try:
            changed = await self.lender.lend(running, self.slots)
        except EngineError as error:
            if error.status not in CONFLICT_STATUSES:
                event_log.condition(
                    "cpu", f"the engine refuses the CPU for {self.slots} slots: {error}"
                )
            return
        if changed:
            event_log.record("lend", f"{', '.join(changed)}: CPU for {self.slots} slots")
        event_log.resolved("cpu", "the engine grants the requested CPU")

    async def _with_loads(self, replicas: list[ManagedReplica]) -> list[ManagedReplica]:
        ready = {one.id for one in replicas if one.phase == "ready"}
        containers = [one for one in self.observer.containers if one.id in ready]
        loads = await self.observer.probe.loads(containers)
        return [replace(one, load=loads.get(one.id, 0.0)) for one in replicas]

    def _may_create(self, template: Container) -> bool:
        event_log = self.tasks.event_log
        if reason := self._single_replica_reason(template):
            event_log.condition("single", reason, level="error")
            return False
        event_log.resolved("single", "the service can have more than one replica again")
        return True

    def _state(self, one: Container) -> ReplicaState | None:
        draining = one.id in self._draining or one.id in self.tasks.draining
        if draining or (one.is_active and self.observer.external_stops.is_stopping(one)):
            return "draining"
        if one.status in {"removing", "dead"} or one.in_replacement:
            return None
        phase = self.observer.phase(one)
        if phase == "down":
            stopped = self.observer.external_stops.is_stopping(one) or one.stopped_cleanly
            return None if stopped else "failed"
        return phase

    def _single_replica_reason(self, template: Container) -> str:
        service = self.observer.service
        found = scaling_obstacles(template, service.project, service.name)
        if not found or self.observer.settings.max == 1:
            return ""
        return (
            f"service {service.name} can have one replica only, because its definition has "
            f"{' and '.join(found)}: remove {'it' if len(found) == 1 else 'them'} from the Compose file"
        )
