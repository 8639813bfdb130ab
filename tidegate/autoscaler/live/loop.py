"""The loop: each tick reads the signals, decides, logs the decision, and calls the resizer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.override import Override, OverrideReader, apply_override
from tidegate.autoscaler.live.signals import Reading, combine
from tidegate.autoscaler.types import Bounds, Decision, Policy
from tidegate.resizer.client import ResizerUnavailableError
from tidegate.resizer.contract import ReplicaStatus, Resizer, ResizeRefusedError
from tidegate.runtime.event_log import EventLog

# As far as `replicas.max` may go.
DEFAULT_BOUNDS: Final = Bounds(1, 64)
CANNOT_SET_SLOTS: Final = (
    "the resizer cannot set them: see slots.max, and in Docker Compose the service's cpus limit"
)
LENDS_CPU: Final = "the policy reckons with slots, and the resizer lends CPU in their place"
# With no replica, a tick is a look at the gateway's queue, and whoever waits there feels how long it takes.
ZERO_TICK_SECONDS: Final = 1.0
# After so long Prometheus has read a new replica, and recorded what it said.
UNSCRAPED_SECONDS: Final = 15.0


def no_override(unix_seconds: float) -> tuple[Override | None, str]:
    """Nobody told anything."""
    del unix_seconds
    return None, ""


async def unknown_queue() -> float | None:
    """Nobody says how many requests wait."""
    return None


@dataclass(slots=True)
class Autoscaler:
    """What is known from one tick to the next, and what a tick does.

    Attributes:
        policy_name: as it stands in the settings and in the decision events.
        policy: what decides.
        read: asks Prometheus; never fails, but returns a problem.
        resizer: where replicas are counted and set.
        event_log: receives the decisions and the conditions.
        metrics: what Prometheus is told.
        unix: seconds since 1970, for what goes by the time of day.
        read_override: what a person told it for a time.
        bounds: those that a person cannot leave.
        dry_run: whether it leaves the replicas alone.
        requires_real_slots: whether the policy takes no CPU in the place of slots.
        read_queue: asks the gateway how many requests wait; only while there is no replica.
    """

    policy_name: str
    policy: Policy
    read: Callable[[], Awaitable[Reading]]
    resizer: Resizer
    event_log: EventLog
    metrics: Metrics
    unix: Callable[[], float] = time.time
    read_override: OverrideReader = no_override
    bounds: Bounds = DEFAULT_BOUNDS
    dry_run: bool = False
    requires_real_slots: bool = False
    read_queue: Callable[[], Awaitable[float | None]] = unknown_queue
    _state: dict[str, Any] = field(default_factory=dict, init=False)
    # The number that we stand for: the one decided last. Not the resizer's own, which others may
    # change (a plain `docker compose up` resets it) and which is then put right.
    _desired: int | None = field(default=None, init=False)
    # What the resizer said it wants after it was last told, to notice that others changed it.
    _confirmed: int | None = field(default=None, init=False)
    _override: Override | None = field(default=None, init=False)

    async def tick(self, now: float) -> Decision | None:
        """One tick at `now`, in seconds on a clock that only goes forward.

        Returns None as long as the resizer has never answered: there is no number to hold yet.
        """
        reading, (status, away) = await asyncio.gather(self.read(), self._fetch_status())
        if self.bounds.min == 0 and status and _all_unscraped(status, self.unix()):
            reading = reading.without_replicas()
        self._condition("signals", reading.problem, reading.cause)
        self._condition("history", reading.history_problem)
        self._condition("resizer", away)
        if status and self.dry_run:
            # The number is another's to set, and what each decision starts from.
            self._desired = status.desired
        elif status:
            self._log_external_change(status.desired)
        current = self._desired if self._desired is not None else status.desired if status else None
        if current is None:
            return None
        unix = self.unix()
        waiting = await self.read_queue() if current == 0 else None
        signals = combine(reading, status, current, away, unix, waiting=waiting)
        decision = self._policy(unix)(self._state, signals, now)
        # Written before it is done: whatever becomes of the attempt, its cause is on record.
        record_decision(
            self.event_log,
            decision,
            policy=self.policy_name,
            state=self._state,
            signals=signals,
            now=now,
            dry_run=self.dry_run,
        )
        self.metrics.observe(decision, status, signals.age_seconds, dry_run=self.dry_run)
        self._state = decision.state
        if self.dry_run:
            return decision
        self._desired = decision.desired
        if status:
            await self._apply(decision, status)
        return decision

    async def _apply(self, decision: Decision, status: ReplicaStatus) -> None:
        """Tell the resizer, if it stands otherwise than was decided."""
        slots, problem = decision.slots, ""
        if slots is not None and self.requires_real_slots and status.lends != "slots":
            problem = LENDS_CPU
        elif slots is not None and status.slots is None:
            problem = CANNOT_SET_SLOTS
        self._condition("slots", problem)
        if problem or slots == status.slots:
            slots = None
        if decision.desired != status.desired or slots is not None:
            await self._resize(decision.desired, slots)
        else:
            self._condition("resize", "")

    def _policy(self, unix: float) -> Policy:
        """The policy, as a person bounds it now."""
        override, problem = self.read_override(unix)
        self._condition("control", problem)
        if override != self._override:
            message = override.description if override else "the pause has ended"
            self.event_log.record("control", message)
            self._override = override
        return apply_override(self.policy, override, self.bounds) if override else self.policy

    def _condition(self, name: str, problem: str, cause: str = "") -> None:
        """Log the problem of something, or that it has none any more; see `EventLog.condition`."""
        if problem:
            self.event_log.condition(name, f"{name}: {problem}", cause=cause)
        else:
            self.event_log.resolved(name, f"{name}: resolved")

    async def _fetch_status(self) -> tuple[ReplicaStatus | None, str]:
        try:
            return await self.resizer.status(), ""
        except ResizerUnavailableError as error:
            return None, str(error)

    async def _resize(self, desired: int, slots: int | None) -> None:
        lost, refused = "", ""
        try:
            self._confirmed = (await self.resizer.resize(desired, slots)).desired
        except ResizerUnavailableError as error:
            lost = str(error)
        except ResizeRefusedError as error:
            # Its bounds are narrower than ours: go on from the number that it has.
            refused, self._desired = f"the resizer refused: {error}", None
        self._condition("resize", lost)
        self._condition("bounds", refused)

    def _log_external_change(self, found: int) -> None:
        if self._confirmed is not None and found not in (self._confirmed, self._desired):
            self.event_log.record(
                "changed-by-others",
                f"something else set {found} replicas; {self._desired} were asked for",
                level="warn",
            )
        self._confirmed = found


def _all_unscraped(status: ReplicaStatus, unix: float) -> bool:
    """Whether no replica has been ready for so long that Prometheus must know it, or there is none."""
    ready = [one.ready_at for one in status.replicas if one.state == "ready"]
    return status.ready == len(ready) and all(
        at is None or unix - at < UNSCRAPED_SECONDS for at in ready
    )


def next_tick(ticks: int, elapsed: float, tick_seconds: float) -> int:
    """The number of the tick to wait for: the next one, or if that is past, the next to come.

    Ticks lie at whole multiples of `tick_seconds` after the start, so a slow one delays no other.

    Args:
        ticks: the number of the tick just done; the one at the start is 0.
        elapsed: seconds since the start.
        tick_seconds: from one tick to the next.
    """
    return max(ticks + 1, math.ceil(elapsed / tick_seconds))


def next_due(due: float, elapsed: float, every: float) -> float:
    """When the tick after the one that was due at `due` is, where ticks now come each `every` seconds.

    All in seconds since the start. It is a whole multiple of `every`, whatever ticks were apart before.
    """
    # A hair more, so that a whole number of ticks is not taken for one less.
    return every * next_tick(math.floor(due / every + 1e-9), elapsed, every)


async def run_ticks(autoscaler: Autoscaler, tick_seconds: float) -> None:
    """Tick until cancelled; more often while there is no replica."""
    clock = asyncio.get_running_loop().time
    start, due = clock(), 0.0
    while True:
        decision = await autoscaler.tick(clock())
        at_zero = decision is not None and decision.desired == 0
        every = min(ZERO_TICK_SECONDS, tick_seconds) if at_zero else tick_seconds
        due = next_due(due, clock() - start, every)
        await asyncio.sleep(start + due - clock())
