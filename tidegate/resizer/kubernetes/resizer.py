"""The resizer: one loop brings `spec.replicas` of the Deployment to the desired number."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.contract import ReplicaStatus, ResizeRefusedError, check_bounds
from tidegate.resizer.kubernetes.api import ClusterDeployment, ClusterError
from tidegate.resizer.kubernetes.objects import RESIZER
from tidegate.resizer.kubernetes.pods import Snapshot, problems
from tidegate.resizer.startups import Startups
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Replicas

FIXED_SLOTS: Final = (
    "the slots of a pod cannot be set while it runs: change slots.per_replica in the Deployment"
)
TICK_SECONDS: Final = 2.0
# An older status is not reported.
STALE_SECONDS: Final = 10.0
# An HPA syncs each 15 s: this often within this time, another controller scales the same Deployment.
CONTESTED_TIMES: Final = 3
CONTESTED_SECONDS: Final = 120.0
CONDITIONS: Final = ("paused", "refused", "unschedulable", "failing")


@dataclass(slots=True)
class KubernetesResizer:
    """Scales one Deployment, and changes nothing else.

    It knows nothing until `run` or `tick` has read the Deployment once. Its clock is that of the snapshots;
    `changed` makes `run` continue at once.
    """

    deployment: ClusterDeployment
    bounds: Replicas
    event_log: EventLog
    clock: Callable[[], float]
    changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    # None until the Deployment was read once: then its number, until a client requests another.
    _desired: int | None = field(default=None, init=False)
    # The Deployment's number as last known, to tell a change by others from one not yet made.
    _in_force: int | None = field(default=None, init=False)
    # Whether somebody set 0, as people do to stop a service. The Deployment keeps it over a restart.
    _held: bool = field(default=False, init=False)
    _snapshot: Snapshot | None = field(default=None, init=False)
    _startups: Startups = field(default_factory=Startups, init=False)
    _problem: str = field(default="the Deployment was not read yet", init=False)
    _corrections: deque[float] = field(default_factory=deque, init=False)

    async def status(self) -> ReplicaStatus:
        """The replicas at the last read, usually at most two seconds ago.

        Raises:
            ClusterError: the API server has not answered for ten seconds.
        """
        snapshot, desired = self._snapshot, self._desired
        if snapshot is None or desired is None or self.clock() - snapshot.read_at > STALE_SECONDS:
            raise ClusterError(self._problem)
        return ReplicaStatus.of(desired, snapshot.as_replicas(), startups=self._startups.seconds)

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Request a number of replicas; returns before the change is complete.

        Raises:
            ResizeRefusedError: the number is out of bounds, or slots are given; nothing is changed.
            ClusterError: the API server has not answered for ten seconds; the request is retained, unless it
                has never answered.
        """
        if slots is not None:
            raise ResizeRefusedError(FIXED_SLOTS)
        check_bounds(desired, self.bounds, None, None)
        if self._desired is None:
            raise ClusterError(self._problem)
        if desired != self._desired:
            self.event_log.record(
                "resize",
                f"{self._desired} → {desired} replicas requested",
                fields={"tidegate": {"resizer": {"before": self._desired, "desired": desired}}},
            )
            self._desired = desired
            self.changed.set()
        return await self.status()

    async def run(self) -> None:
        """Bring the Deployment to the desired number until cancelled."""
        while True:
            await self.tick()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self.changed.wait()
            self.changed.clear()

    async def tick(self) -> None:
        """Read the Deployment, and correct its number. Never raises; a problem is logged once."""
        try:
            snapshot = await self.deployment.read()
            self._startups.update(snapshot.as_replicas(), self.bounds.start_seconds)
            self._snapshot = snapshot
            self._report(snapshot)
            await self._correct(snapshot)
        except ClusterError as error:
            self._problem = str(error)
            self.event_log.condition("cluster", str(error), level="error")
        else:
            self.event_log.resolved("cluster", "the API server grants the requests again")

    async def _correct(self, snapshot: Snapshot) -> None:
        found = snapshot.replicas
        if self._desired is None:
            self._desired = min(max(found, self.bounds.min), self.bounds.max)
            self.event_log.record(
                "start",
                f"scales between {self.bounds.min} and {self.bounds.max} replicas; {found} now",
            )
        changed_by_others = self._in_force is not None and found not in {
            self._in_force,
            self._desired,
        }
        if found == self._desired:
            self._in_force = found
        # At the start, a 0 of nobody is an autoscaler's that was here before.
        managers = snapshot.deployment.replicas_managers
        recorded = bool(managers - {RESIZER})
        # A 0 of another resizer, as of one that was replaced and lives on, would stay for ever.
        by_hand = recorded or (changed_by_others and not managers)
        self._held = found == 0 < self._desired and (self._held or by_hand)
        if self._held:
            self.event_log.condition(
                "held",
                "the Deployment was scaled to 0 by hand: scaling is paused until it has a replica again",
            )
            if not recorded:
                await self.deployment.hold()
            return
        self.event_log.resolved("held", "the Deployment has replicas again: scaling continues")
        if found != (desired := self._desired):
            self._in_force = None  # without an answer it is not known
            await self.deployment.scale(desired)
            self._in_force = desired
        if changed_by_others:
            self._record_correction(found)

    def _record_correction(self, found: int) -> None:
        now = self.clock()
        self._corrections.append(now)
        while now - self._corrections[0] > CONTESTED_SECONDS:
            self._corrections.popleft()
        if len(self._corrections) >= CONTESTED_TIMES:
            self.event_log.condition(
                "contested",
                "another controller scales the same Deployment: remove its HorizontalPodAutoscaler or"
                " ScaledObject, or stop this resizer",
            )
        else:
            self.event_log.record(
                "corrected",
                f"another client set {found} replicas: {self._desired} are set again",
                level="warn",
            )

    def _report(self, snapshot: Snapshot) -> None:
        found = problems(snapshot)
        for name in CONDITIONS:
            if name in found:
                self.event_log.condition(name, found[name], cause=_cause(found[name]))
            else:
                self.event_log.resolved(name, f"{name}: resolved")
        if self._corrections and self.clock() - self._corrections[-1] > CONTESTED_SECONDS:
            self._corrections.clear()
            self.event_log.resolved("contested", "no other controller scales the Deployment now")


def _cause(message: str) -> str:
    """The message without the names and numbers of pods, which change while a problem lasts."""
    return message.partition(":")[2] or message
