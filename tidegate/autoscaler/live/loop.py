"""The control loop: each tick reads the signals, decides, logs the decision and calls the resizer.

Between ticks it reads the gateway's counters. If they show a jump or a queue, it decides at once, and may
only add replicas.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.gateway_signals import (
    KEPT_READS,
    READ_SECONDS,
    GatewayRead,
    decide_between,
    later,
    with_gateway,
)
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.override import Override, OverrideReader, apply_override
from tidegate.autoscaler.live.signals import Reading, combine
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.resizer.contract import (
    ReplicaStatus,
    Resizer,
    ResizeRefusedError,
    ResizerUnavailableError,
)
from tidegate.runtime.event_log import EventLog

CANNOT_SET_SLOTS: Final = (
    "the resizer cannot set slots: check slots.max, and in Docker Compose the service's cpus limit"
)
MACHINE_FULL: Final = (
    "requests queue, and more replicas do not complete more of them: the machine, or something else that all "
    "replicas share, is used up"
)
GATEWAY_AWAY: Final = (
    "its counters cannot be read, so nothing is decided between ticks: check"
    " autoscaler.gateway_metrics_url"
)
# While a gateway replaces another, some reads fail.
MOST_FAILED_READS: Final = 10
# At zero replicas without the gateway's counters, a queue is seen at ticks alone, which delay the cold start.
BLIND_TICK_SECONDS: Final = 1.0
# There a read costs 0.6 ms of CPU, a cold start has no other wait of ours, and nothing else works.
ZERO_READ_SECONDS: Final = 0.1
# After this time Prometheus has scraped a new replica and evaluated its rules.
UNSCRAPED_SECONDS: Final = 15.0


@dataclass(slots=True)
class Autoscaler:
    """The state between ticks, and what a tick does.

    `read` and `read_gateway` never raise. The gateway is read for a policy that `uses_gateway`, and for each
    at zero replicas. `bounds` limit manual bounds. In a dry run decisions are only recorded, and none is made
    between ticks. A replica has `slots` until Prometheus says how many.
    """

    policy_name: str
    policy: Policy
    read: Callable[[], Awaitable[Reading]]
    resizer: Resizer
    event_log: EventLog
    metrics: Metrics
    read_override: OverrideReader
    bounds: Bounds
    read_gateway: Callable[[], Awaitable[GatewayRead | None]]
    decided: DecidedNumber
    slots: int
    uses_gateway: bool = False
    dry_run: bool = False
    unix: Callable[[], float] = time.time
    _state: dict[str, Any] = field(default_factory=dict, init=False)
    # The number last decided. Not the resizer's, which others may change (a plain `docker compose up` resets
    # it) and which is then corrected.
    _desired: int | None = field(default=None, init=False)
    # The number that the resizer confirmed last, to detect changes by others.
    _confirmed: int | None = field(default=None, init=False)
    _override: Override | None = field(default=None, init=False)
    _reads: Sequence[GatewayRead] = field(default=(), init=False)
    # The replicas that were known to be ready at the last two reads.
    _ready_at_reads: tuple[int, int] = field(default=(0, 0), init=False)
    _failed_reads: int = field(default=0, init=False)
    # The last reading without a problem and its time, that of the last tick, and the last status.
    _reading: Reading = field(default_factory=Reading, init=False)
    _read_at: float = field(default=0.0, init=False)
    _ticked_at: float = field(default=0.0, init=False)
    _status: ReplicaStatus | None = field(default=None, init=False)

    async def tick(self, now: float, reads: Sequence[GatewayRead] | None = None) -> Decision | None:
        """One tick at `now`, in seconds on a monotonic clock; without `reads` it reads the gateway.

        Returns None until the resizer has responded once: the current number is unknown before.
        """
        self._ticked_at = now
        reading, (status, away) = await asyncio.gather(self.read(), self._fetch_status())
        if self.bounds.min == 0 and status and _all_unscraped(status, self.unix()):
            reading = reading.without_replicas()
        self._condition("signals", reading.signals.problem, reading.cause)
        if not reading.signals.problem:
            # Without Prometheus both are lost, and the signals are the problem.
            self._condition("history", reading.history_problem)
        self._condition("resizer", away)
        self.metrics.observe_resizer(up=not away)
        if status and self.dry_run:
            # Another component sets the number; each decision starts from it.
            self._desired = status.desired
        elif status:
            self._log_external_change(status.desired)
        current = self._desired if self._desired is not None else status.desired if status else None
        if current is None:
            return None
        self._remember(reading, now)
        signals = combine(reading, status, current, away, self.unix())
        if self.uses_gateway or current == 0:
            reads = await self._read_gateway() if reads is None else reads
            if current == 0 and reads:
                signals = replace(signals, waiting=reads[-1].queued)
            if self._failed_reads < MOST_FAILED_READS:
                # One that failed is no reason to plan as without any, and to keep that number for minutes.
                reads = reads or (GatewayRead(0.0, 0.0, 0.0),)
            signals = with_gateway(signals, reads, at_tick=True)
        decision = self._policy(self.unix())(self._state, signals, now)
        await self._carry_out(decision, status, signals, now)
        return decision

    async def sense(self, now: float) -> Decision | None:
        """Read the gateway's counters between two ticks, and decide if they show a jump or a queue.

        Returns the decision if it adds replicas; any other is dropped, and the policy learns nothing from it.
        """
        current = self._desired
        if current is None or not (self.uses_gateway or current == 0):
            return None
        lasts = any(one.queued for one in self._reads[-1:])
        reads = await self._read_gateway()
        if self.dry_run or current >= self.bounds.max:
            return None
        if current == 0:
            # A queue may last at zero, as in a pause: no tick at each read.
            wait = READ_SECONDS * lasts if reads else BLIND_TICK_SECONDS
            due = now - self._ticked_at >= wait and (not reads or reads[-1].queued)
            return await self.tick(now, reads) if due else None
        if self._reading.signals.arrival_rate is None and self._seen(current, reads, now).between:
            # A stack that has just started may have its first values since.
            self._remember(await self.read(), now)
        # A queue may last: the resizer is only asked if replicas are to be added to those it told last.
        if not self._adds(current, reads, now):
            return None
        await self._fetch_status()
        if found := self._adds(current, reads, now):
            await self._carry_out(found[0], self._status, found[1], now)
            return found[0]
        return None

    @property
    def read_seconds(self) -> float:
        """How long after one read of the gateway the next is due."""
        often = self._desired == 0 and not (self.dry_run or self._failed_reads)
        return ZERO_READ_SECONDS if often else READ_SECONDS

    def _remember(self, reading: Reading, now: float) -> None:
        if not reading.signals.problem:
            self._reading, self._read_at = reading, now

    def _seen(self, current: int, reads: Sequence[GatewayRead], now: float) -> Signals:
        """The signals between two ticks."""
        measured = later(self._reading.signals, now - self._read_at)
        if unread := measured.arrival_rate is None:
            measured = replace(measured, slots_per_replica=self.slots)
        reading = replace(self._reading, signals=measured)
        signals = combine(reading, self._status, current, "", self.unix())
        if measured.service_seconds is None:
            # Requests that queued have filled the slots of then, not those that are ready since.
            signals = replace(signals, ready=min(signals.ready, *self._ready_at_reads))
        seen = with_gateway(signals, reads)
        # The first values of Prometheus come up to 10 s after its start.
        return replace(seen, arrival_rate=0.0, age_seconds=0.0) if unread else seen

    def _adds(
        self, current: int, reads: Sequence[GatewayRead], now: float
    ) -> tuple[Decision, Signals] | None:
        seen = self._seen(current, reads, now)
        decision = decide_between(self._policy(self.unix()), self._state, seen, now)
        return (decision, seen) if decision else None

    async def _read_gateway(self) -> Sequence[GatewayRead]:
        """The last reads of the gateway's counters; none if it cannot be read now."""
        read = await self.read_gateway()
        self._failed_reads = 0 if read else self._failed_reads + 1
        self._condition("gateway", GATEWAY_AWAY * (self._failed_reads >= MOST_FAILED_READS))
        if read is None:
            return ()
        reads = [*self._reads, read]
        # Those at zero replicas are more frequent, and counts are of half a second.
        if len(reads) > 1 and (seconds := reads[-2].seconds + read.seconds) <= READ_SECONDS:
            reads[-2:] = [GatewayRead(seconds, reads[-2].arrivals + read.arrivals, read.queued)]
        self._reads = reads[-KEPT_READS:]
        ready = self._status.ready if self._status else 0
        self._ready_at_reads = (self._ready_at_reads[1], ready)
        return self._reads

    async def _carry_out(
        self, decision: Decision, status: ReplicaStatus | None, signals: Signals, now: float
    ) -> None:
        # Recorded before it is applied: if that fails, the cause is on record.
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
        self.decided.update(decision.desired, dry_run=self.dry_run)
        self._condition("machine", MACHINE_FULL if decision.inputs.get("machine_full") else "")
        self._state = decision.state
        if self.dry_run:
            return
        self._desired = decision.desired
        if status:
            await self._apply(decision, status)

    async def _apply(self, decision: Decision, status: ReplicaStatus) -> None:
        """Call the resizer if its number or slots differ from the decision."""
        slots, problem = decision.slots, ""
        if slots is not None and status.slots is None:
            problem = CANNOT_SET_SLOTS
        self._condition("slots", problem)
        if problem or slots == status.slots:
            slots = None
        if decision.desired != status.desired or slots is not None:
            await self._resize(decision.desired, slots)
        else:
            self._condition("resize", "")

    def _policy(self, unix: float) -> Policy:
        """The policy, within the pause or manual bounds in force."""
        override, problem = self.read_override(unix)
        self._condition("control", problem)
        if override != self._override:
            message = override.description if override else "the pause has ended"
            self.event_log.record("control", message)
            self._override = override
        return apply_override(self.policy, override, self.bounds) if override else self.policy

    def _condition(self, name: str, problem: str, cause: str = "") -> None:
        """Log a problem once when it appears and once when it is resolved; see `EventLog.condition`."""
        if problem:
            self.event_log.condition(name, f"{name}: {problem}", cause=cause)
        else:
            self.event_log.resolved(name, f"{name}: resolved")

    async def _fetch_status(self) -> tuple[ReplicaStatus | None, str]:
        try:
            self._status, away = await self.resizer.status(), ""
        except ResizerUnavailableError as error:
            self._status, away = None, str(error)
        return self._status, away

    async def _resize(self, desired: int, slots: int | None) -> None:
        lost, refused = "", ""
        try:
            self._status = await self.resizer.resize(desired, slots)
            self._confirmed = self._status.desired
        except ResizerUnavailableError as error:
            lost = str(error)
        except ResizeRefusedError as error:
            # Its bounds are narrower: continue from its number.
            refused, self._desired = f"the resizer refused: {error}", None
        self._condition("resize", lost)
        self._condition("bounds", refused)

    def _log_external_change(self, found: int) -> None:
        if self._confirmed is not None and found not in (self._confirmed, self._desired):
            self.event_log.record(
                "changed-by-others",
                f"another client of the resizer set {found} replicas; {self._desired} were requested",
                level="warn",
            )
        self._confirmed = found


def _all_unscraped(status: ReplicaStatus, unix: float) -> bool:
    """Whether there is no replica that Prometheus must have scraped by now."""
    ready = [one.ready_at for one in status.replicas if one.state == "ready"]
    return status.ready == len(ready) and all(
        at is None or unix - at < UNSCRAPED_SECONDS for at in ready
    )


def next_due(due: float, elapsed: float, every: float) -> float:
    """The time of the tick after the one due at `due`, if ticks are now `every` seconds apart.

    All in seconds since the start. Ticks are at whole multiples of `every`, whatever the interval before, so
    a slow one does not delay others: the next is the first that is not in the past.
    """
    # Epsilon against floating-point error.
    this = math.floor(due / every + 1e-9)
    return every * max(this + 1, math.ceil(elapsed / every))


async def run_ticks(autoscaler: Autoscaler, tick_seconds: float) -> None:
    """Tick until cancelled, and read the gateway in between."""
    clock = asyncio.get_running_loop().time
    start, due = clock(), 0.0
    while True:
        await autoscaler.tick(clock())
        autoscaler.metrics.observe_tick()
        due = next_due(due, clock() - start, tick_seconds)
        while start + due - clock() > (pause := autoscaler.read_seconds):
            await asyncio.sleep(pause)
            await autoscaler.sense(clock())
        await asyncio.sleep(start + due - clock())
