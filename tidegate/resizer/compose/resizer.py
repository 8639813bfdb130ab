"""The resizer: one task brings the containers to the number that was asked for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import EngineError, EngineGoneError
from tidegate.resizer.compose.observer import Observer
from tidegate.resizer.compose.operations import OVERTAKEN
from tidegate.resizer.compose.plan import Member, plan
from tidegate.resizer.compose.quota import Lender
from tidegate.resizer.compose.tasks import Works
from tidegate.resizer.compose.template import newest, obstacles
from tidegate.resizer.contract import (
    Replica,
    ReplicaState,
    ReplicaStatus,
    ResizeRefusedError,
    ResizerUnavailableError,
    refuse_outside,
)

TICK_SECONDS: Final = 1.0
# Events come in bursts (six containers are started at once); one look does for all of them.
BURST_SECONDS: Final = 0.1
# A status older than this is none.
STALE_SECONDS: Final = 10.0


class CannotScaleError(RuntimeError):
    """The service cannot have more than one replica, or none is there. Its text says why."""


@dataclass(slots=True)
class ComposeResizer:
    """Sets the number of replicas of one service; touches no other container.

    `begin` must have been awaited before anything else.
    """

    observer: Observer
    works: Works
    lender: Lender
    desired: int = field(default=0, init=False)
    slots: int = field(default=0, init=False)
    _template: Container | None = field(default=None, init=False)
    _draining: frozenset[str] = field(default=frozenset(), init=False)
    _starting: dict[int, float] = field(default_factory=dict, init=False)
    _looked_at: float = field(default=0.0, init=False)

    async def begin(self) -> None:
        """See what there is; that many are desired until somebody asks for another number.

        Raises:
            CannotScaleError: there is no replica, or something forbids a second one.
            EngineError: the engine refused to say.
            EngineGoneError: the engine cannot be reached.
        """
        template = await self._look()
        place = self.observer.place
        if template is None:
            raise CannotScaleError(
                f"resizer.service: project {place.project} has no container of a service "
                f"{place.service}; start it first: docker compose up --detach {place.service}"
            )
        if why := self._why_single(template):
            raise CannotScaleError(why)
        bounds = self.observer.settings
        running = sum(one.runs for one in self.observer.containers)
        self.desired = min(max(running, bounds.min), bounds.max)
        in_force = self.lender.in_force(one for one in self.observer.containers if one.runs)
        self.slots = min(in_force, self.lender.most or self.lender.own_slots)
        if self.lender.most is not None and (why := self.lender.why_not(template)):
            self.works.event_log.condition("slots", why)

    async def status(self) -> ReplicaStatus:
        """The replicas, as they were seen in the last second.

        Raises:
            ResizerUnavailableError: the engine has not told for ten seconds.
        """
        silent = self.observer.monotonic() - self._looked_at
        if silent > STALE_SECONDS:
            raise ResizerUnavailableError(f"the Docker engine has not answered for {silent:.0f} s")
        coming = dict(sorted({**self._starting, **self.works.starting}.items()))
        shown = [
            (one, state)
            for one in self.observer.containers
            if one.number not in coming and (state := self._state(one))
        ]
        ready = sum(state == "ready" for _, state in shown)
        starting = sum(state == "starting" for _, state in shown) + len(coming)
        replicas = [
            Replica(
                id=one.name,
                state=state,
                started_at=one.started_at or one.created_at,
                ready_at=self.observer.chronicle.of(one).ready_at if state == "ready" else None,
            )
            for one, state in shown
        ]
        replicas += [
            Replica(id=self.observer.place.name(number), state="starting", started_at=at)
            for number, at in coming.items()
        ]
        return ReplicaStatus(
            desired=self.desired,
            running=ready + starting,
            ready=ready,
            replicas=replicas,
            slots=None if self.lender.why_not(self._template) else self.slots,
            lends="cpu",
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Ask for a number of replicas, and of slots in each; returns at once, the change follows.

        Args:
            desired: replicas.
            slots: what the CPU quota of each is in proportion to; None leaves it.

        Raises:
            ResizeRefusedError: a number is outside its bounds, or slots cannot be set; nothing is changed.
            ResizerUnavailableError: the engine has not told for ten seconds; the numbers are kept.
        """
        if slots is not None and (why := self.lender.why_not(self._template)):
            raise ResizeRefusedError(why)
        refuse_outside(desired, self.observer.settings, slots, self.lender.most)
        if slots is not None and slots != self.slots:
            self.works.event_log.record(
                "resize",
                f"{self.slots} → {slots} slots a replica asked for: CPU in that proportion",
                fields={
                    "tidegate": {"resizer": {"slots": {"before": self.slots, "desired": slots}}}
                },
            )
            self.slots = slots
            self.works.changed.set()
        if desired != self.desired:
            self.works.event_log.record(
                "resize",
                f"{self.desired} → {desired} replicas asked for",
                fields={"tidegate": {"resizer": {"before": self.desired, "desired": desired}}},
            )
            self.desired = desired
            self.works.changed.set()
        return await self.status()

    async def run(self) -> None:
        """Follow what is desired, until cancelled."""
        following = asyncio.create_task(self._follow_events())
        try:
            while True:
                await self._try_tick()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self.works.changed.wait()
                        await asyncio.sleep(BURST_SECONDS)
                self.works.changed.clear()
        finally:
            # The engine goes on stopping those that drain.
            following.cancel()
            self.works.abandon()

    async def _try_tick(self) -> None:
        event_log = self.works.event_log
        try:
            await self._tick()
            event_log.resolved("engine", "the Docker engine answers again")
        except (EngineError, EngineGoneError) as error:
            event_log.condition("engine", str(error), level="error")

    async def _follow_events(self) -> None:
        place = self.observer.place
        while True:
            with suppress(EngineError, EngineGoneError):  # the tick tells
                async for event in self.observer.engine.events(place.project, place.service):
                    self.observer.hands.see(event, self.works.draining, self.observer.monotonic())
                    self.works.changed.set()
            await asyncio.sleep(TICK_SECONDS)

    async def _look(self) -> Container | None:
        # What ends before the look does, was still going on in what is seen.
        draining, starting = frozenset(self.works.draining), dict(self.works.starting)
        await self.observer.look(starting)
        self._draining, self._starting = draining, starting
        self._looked_at = self.observer.monotonic()
        self._template = newest(self.observer.containers, self._template)
        return self._template

    async def _tick(self) -> None:
        template = await self._look()
        now, event_log = self._looked_at, self.works.event_log
        others = [one for one in self.observer.containers if one.id not in self._draining]
        if not self._starting and self.observer.hands.want_none(others, now):
            event_log.condition(
                "held", "the service was stopped by hand: held until one runs again"
            )
            return
        event_log.resolved("held", "the service runs again")
        if template is None or self.observer.compose_is_at_work():
            return
        await self._lend()
        members = self.observer.members(self._draining, template)
        if len(members) > self.desired:
            members = await self._with_loads(members)
        starting = {**self._starting, **self.works.starting}
        members += [Member("", number, "starting", at) for number, at in starting.items()]
        taken = {one.number for one in self.observer.containers} | starting.keys()
        todo = plan(members, self.desired, taken)
        named = {one.id: one for one in self.observer.containers}
        for leaving in filter(None, todo.drain):  # one that is being started, is let go afterwards
            self.works.let_go(named[leaving])
        for back in todo.start:
            self.works.revive(named[back])
        if todo.make and not self.observer.hands.just_ended_one(now) and self._may_make(template):
            for number in todo.make:
                self.works.make(template, number)

    async def _lend(self) -> None:
        """Let every replica that runs have the CPU for the slots asked for; its own if none may be."""
        event_log = self.works.event_log
        running = [one for one in self.observer.containers if one.runs]
        try:
            changed = await self.lender.lend(running, self.slots)
        except EngineError as error:
            if error.status not in OVERTAKEN:
                event_log.condition("cpu", f"the CPU for {self.slots} slots is refused: {error}")
            return
        if changed:
            event_log.record("lend", f"{', '.join(changed)}: CPU for {self.slots} slots")
        event_log.resolved("cpu", "the engine gives the CPU that was asked for")

    async def _with_loads(self, members: list[Member]) -> list[Member]:
        ready = {one.id for one in members if one.phase == "ready"}
        asked = [one for one in self.observer.containers if one.id in ready]
        loads = await self.observer.neighbours.loads(asked)
        return [replace(one, load=loads.get(one.id, 0.0)) for one in members]

    def _may_make(self, template: Container) -> bool:
        event_log = self.works.event_log
        if why := self._why_single(template):
            event_log.condition("single", why, level="error")
            return False
        event_log.resolved("single", "the service can have more than one replica again")
        return True

    def _state(self, one: Container) -> ReplicaState | None:
        ours = one.id in self._draining or one.id in self.works.draining
        if ours or (one.runs and self.observer.hands.stops(one)):
            return "draining"
        if one.status in {"removing", "dead"} or one.in_replacement:
            return None
        phase = self.observer.phase(one)
        if phase == "down":
            stopped = self.observer.hands.stops(one) or one.ended_when_asked
            return None if stopped else "failed"
        return phase

    def _why_single(self, template: Container) -> str:
        place = self.observer.place
        found = obstacles(template, place.project, place.service)
        if not found or self.observer.settings.max == 1:
            return ""
        return (
            f"service {place.service} can have one replica only, because its definition has "
            f"{' and '.join(found)}: take {'it' if len(found) == 1 else 'them'} out of the Compose file"
        )
