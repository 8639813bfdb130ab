"""The loop: each tick reads, decides, writes the decision down, and tells the resizer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.autoscaler.journal import Journal
from tidegate.autoscaler.metrics import Metrics
from tidegate.autoscaler.signals import Reading, combine
from tidegate.autoscaler.types import Decision, Policy
from tidegate.resizer.base import ReplicaStatus, Resizer, ResizeRefusedError
from tidegate.resizer.client import ResizerUnavailableError


@dataclass(slots=True)
class Autoscaler:
    """What is known from one tick to the next, and what a tick does.

    Attributes:
        policy_name: as it stands in the settings and in the decision events.
        policy: what decides.
        read: asks Prometheus; never fails, but returns a problem.
        resizer: where replicas are counted and set.
        journal: where decisions and troubles are written down.
        metrics: what Prometheus is told.
    """

    policy_name: str
    policy: Policy
    read: Callable[[], Awaitable[Reading]]
    resizer: Resizer
    journal: Journal
    metrics: Metrics
    _state: dict[str, Any] = field(default_factory=dict, init=False)
    # The number that we stand for: the one decided last. Not the resizer's own, which others may
    # change (a plain `docker compose up` resets it) and which is then put right.
    _asked: int | None = field(default=None, init=False)
    # What the resizer said it wants after it was last told, to notice that others changed it.
    _confirmed: int | None = field(default=None, init=False)

    async def tick(self, now: float) -> Decision | None:
        """One tick at `now`, in seconds on a clock that only goes forward.

        Returns None as long as the resizer has never answered: there is no number to hold yet.
        """
        reading, (status, away) = await asyncio.gather(self.read(), self._ask())
        self.journal.trouble("signals", reading.problem, reading.cause)
        self.journal.trouble("resizer", away)
        if status:
            self._notice_change(status.desired)
        held = self._asked if self._asked is not None else status.desired if status else None
        if held is None:
            return None
        signals = combine(reading, status, held, away)
        decision = self.policy(self._state, signals, now)
        # Written before it is done: whatever becomes of the attempt, its cause is on record.
        self.journal.decided(self.policy_name, self._state, signals, now, decision)
        self.metrics.observe(decision, status, signals.age_seconds)
        self._state, self._asked = decision.state, decision.desired
        if status and decision.desired != status.desired:
            await self._tell(decision.desired)
        elif status:
            self.journal.trouble("resize", "")
        return decision

    async def _ask(self) -> tuple[ReplicaStatus | None, str]:
        try:
            return await self.resizer.status(), ""
        except ResizerUnavailableError as error:
            return None, str(error)

    async def _tell(self, desired: int) -> None:
        lost, refused = "", ""
        try:
            self._confirmed = (await self.resizer.resize(desired)).desired
        except ResizerUnavailableError as error:
            lost = str(error)
        except ResizeRefusedError as error:
            # Its bounds are narrower than ours: go on from the number that it has.
            refused, self._asked = f"the resizer refused: {error}", None
        self.journal.trouble("resize", lost)
        self.journal.trouble("bounds", refused)

    def _notice_change(self, found: int) -> None:
        if self._confirmed is not None and found not in (self._confirmed, self._asked):
            self.journal.say(
                "warn", f"something else set {found} replicas; {self._asked} were asked for"
            )
        self._confirmed = found


def next_tick(ticks: int, elapsed: float, tick_seconds: float) -> int:
    """The number of the tick to wait for: the next one, or if that is past, the next to come.

    Ticks lie at whole multiples of `tick_seconds` after the start, so a slow one delays no other.

    Args:
        ticks: the number of the tick just done; the one at the start is 0.
        elapsed: seconds since the start.
        tick_seconds: from one tick to the next.
    """
    return max(ticks + 1, math.ceil(elapsed / tick_seconds))


async def run_ticks(autoscaler: Autoscaler, tick_seconds: float) -> None:
    """Tick until cancelled."""
    clock = asyncio.get_running_loop().time
    start, ticks = clock(), 0
    while True:
        await autoscaler.tick(clock())
        ticks = next_tick(ticks, clock() - start, tick_seconds)
        await asyncio.sleep(start + ticks * tick_seconds - clock())
