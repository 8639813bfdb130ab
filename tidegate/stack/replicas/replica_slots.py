"""The slots of every replica, changed while all of them work.

Three things must agree: the replica, which works on so many requests at once; the gateway, which sends it so
many; and the gateway's configuration, with which it would start again. Waiting shall stay in the gateway's
queue, so more slots are there first and used then; fewer are used first and taken away then.

What is, is looked at and brought to what is wanted, step by step, until both are the same. So it does not
matter what is started, dies or is started again meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, Protocol

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch
from tidegate.runtime.metrics_text import sample_value
from tidegate.runtime.slots_file import SlotsFile
from tidegate.stack.gateway.runtime_api import AdminError, GatewayAwayError

COMPONENT: Final = "slots"
POLL_SECONDS: Final = 0.05
# A replica that works answers far sooner; one that hangs must not hold up the others for long.
PROBE_TIMEOUT_SECONDS: Final = 0.5

Shown = Callable[[int], Awaitable[int | None]]
"""The slots that a replica has, by its number, as it says itself; None if it does not say."""


class Limits(Protocol):
    """What limits the requests that each replica is sent: `tidegate.stack.gateway.runtime_api`."""

    async def limits(self) -> dict[int, int]:
        """By the replica's number."""
        ...

    async def limit(self, numbers: list[int], slots: int) -> None:
        """Send these so many at once."""
        ...


def slots_shown(fetch: Fetch, address: Callable[[int], str]) -> Shown:
    """Reads them from the metrics of the replicas."""

    async def shown(number: int) -> int | None:
        text = await fetch(f"{address(number)}/metrics", PROBE_TIMEOUT_SECONDS)
        slots = sample_value(text or "", "tidegate_slots")
        return int(slots) if slots is not None and slots.is_integer() else None

    return shown


@dataclass(slots=True)
class SlotsPool:
    """Brings the slots of all replicas to the number that was asked for.

    Attributes:
        own: the slots that a replica has if nobody asks for others.
        file: what replicas follow; `begin` writes it before the first is started.
        gateway: what limits the requests of each.
        configure: writes the gateway's configuration with so many slots.
        occupied: the numbers of the replicas that there are.
        shown: what each says.
    """

    own: int
    file: SlotsFile
    gateway: Limits
    configure: Callable[[int], object]
    occupied: Callable[[], Mapping[int, object]]
    shown: Shown
    event_log: EventLog
    desired: int = field(init=False)
    settled: bool = field(default=True, init=False)
    _configured: int = field(init=False)
    _problem: str = field(default="", init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.desired = self._configured = self.own

    @property
    def most(self) -> int:
        """As many as a replica may ever have."""
        return self.file.max_slots

    def begin(self) -> None:
        """Write down what replicas start with.

        Raises:
            OSError: it cannot be written.
        """
        self.file.write(self.own)

    def resize(self, slots: int) -> None:
        """Ask for so many slots in each replica; `run` sees to it."""
        if slots != self.desired:
            self._note("resize", f"{self.desired} → {slots} slots a replica asked for")
            self.desired = slots
            self.settled = False
        self._wake.set()

    def look(self) -> None:
        """Look again: the gateway or a replica may have been started anew."""
        self._wake.set()

    async def run(self) -> None:
        """Follow what is desired, until cancelled."""
        while True:
            await self._try_step()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.settled else POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def _try_step(self) -> None:
        wanted = self.desired
        before = self.settled
        try:
            self.settled = await self._step(wanted) and wanted == self.desired
        except GatewayAwayError:
            self.settled = False  # its own keeper tells, and starts it again
            return
        except (AdminError, OSError) as error:
            self.settled = False
            if str(error) != self._problem:
                self._problem = str(error)
                self._note("slots", f"{wanted} slots cannot be set: {error}", failed=True)
            return
        if self.settled and not before:
            self._problem = ""
            self._note("slots", f"each replica has {wanted} slots")

    async def _step(self, wanted: int) -> bool:
        """Come closer; whether everything is as it should be."""
        if self._configured > wanted:
            self._configure(wanted)
        limits = await self.gateway.limits()
        if over := [number for number, limit in limits.items() if limit > wanted]:
            await self.gateway.limit(over, wanted)
        if self.file.read() != (wanted, ""):
            self.file.write(wanted)
        under = [number for number, limit in limits.items() if limit < wanted]
        able = await asyncio.gather(*(self._has(number, wanted) for number in under))
        await self.gateway.limit([*compress(under, able)], wanted)
        if over or under:
            return False  # until the gateway itself says that it is so
        if not await self._all_have(limits, wanted):
            return False
        if self._configured < wanted:
            self._configure(wanted)
        return True

    async def _has(self, number: int, wanted: int) -> bool:
        """Whether a replica can be sent so many; one that is yet to be started will."""
        return number not in self.occupied() or (await self.shown(number) or 0) >= wanted

    async def _all_have(self, numbers: Mapping[int, int], wanted: int) -> bool:
        there = [number for number in numbers if number in self.occupied()]
        shown = await asyncio.gather(*(self.shown(number) for number in there))
        return all(slots in {wanted, None} for slots in shown)

    def _configure(self, slots: int) -> None:
        self.configure(slots)
        self._configured = slots

    def _note(self, action: str, message: str, *, failed: bool = False) -> None:
        self.event_log.record(
            action,
            message,
            component=COMPONENT,
            level="error" if failed else "info",
            fields={"tidegate": {"component": COMPONENT, "slots": {"desired": self.desired}}},
        )
