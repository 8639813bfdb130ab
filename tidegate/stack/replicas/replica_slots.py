"""The slots of every replica, changed while the replicas serve requests.

Three values must agree: the replica's slots; the number of requests that the gateway sends it at once; and
the gateway's configuration, which applies after a restart of the gateway. Requests must queue in the
gateway, not in a replica. So slots are added in the replica first and then used by the gateway; they are
removed from the gateway first and then from the replica. HAProxy gets them by its runtime socket: each reload
would leave an old process with a queue of its own until its last request is answered.

A reconciliation loop compares the three with the desired number and moves them step by step, so starts,
failures and restarts in between do no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import compress
from typing import Final

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch
from tidegate.runtime.metrics_text import sample_value
from tidegate.runtime.slots_file import SlotsFile
from tidegate.stack.gateway.runtime_api import GatewayUnavailableError, RuntimeApi, RuntimeApiError

COMPONENT: Final = "slots"
POLL_SECONDS: Final = 0.05
# A healthy replica answers far sooner; one that hangs must not delay the others.
PROBE_TIMEOUT_SECONDS: Final = 0.5

ReportedSlots = Callable[[int], Awaitable[int | None]]
"""The slots that a replica reports, by its index; None if it reports none."""


def slots_from_metrics(fetch: Fetch, address: Callable[[int], str]) -> ReportedSlots:
    """Reads the slots from the metrics of the replicas."""

    async def reported(index: int) -> int | None:
        text = await fetch(f"{address(index)}/metrics", PROBE_TIMEOUT_SECONDS)
        slots = sample_value(text or "", "tidegate_slots")
        return int(slots) if slots is not None and slots.is_integer() else None

    return reported


@dataclass(slots=True)
class SlotsController:
    """Reconciles the slots of all replicas with the desired number.

    Attributes:
        initial: the slots of a replica until a resize.
        file: the replicas follow it; `write_initial` writes it before the first one starts.
        gateway: limits the requests of each replica.
        write_config: writes the gateway's configuration with a number of slots.
        replicas: the existing replicas, by index.
        reported: fetches the slots that a replica reports.
    """

    initial: int
    file: SlotsFile
    gateway: RuntimeApi
    write_config: Callable[[int], object]
    replicas: Callable[[], Mapping[int, object]]
    reported: ReportedSlots
    event_log: EventLog
    desired: int = field(init=False)
    settled: bool = field(default=True, init=False)
    _configured: int = field(init=False)
    _problem: str = field(default="", init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def __post_init__(self) -> None:
        self.desired = self._configured = self.initial

    @property
    def max_slots(self) -> int:
        """The most slots that a replica can have."""
        return self.file.max_slots

    def write_initial(self) -> None:
        """Write the slots that replicas start with.

        Raises:
            OSError: the file cannot be written.
        """
        self.file.write(self.initial)

    def resize(self, slots: int) -> None:
        """Set the desired slots of each replica; `run` reconciles."""
        if slots != self.desired:
            self._log("resize", f"{self.desired} → {slots} slots per replica requested")
            self.desired = slots
            self.settled = False
        self._wake.set()

    def wake(self) -> None:
        """Reconcile again: the gateway or a replica may have restarted."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile, until cancelled."""
        while True:
            await self._try_reconcile()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.settled else POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def _try_reconcile(self) -> None:
        desired = self.desired
        before = self.settled
        try:
            self.settled = await self._reconcile(desired) and desired == self.desired
        except GatewayUnavailableError:
            self.settled = False  # its process supervisor logs that, and restarts it
            return
        except (RuntimeApiError, OSError) as error:
            self.settled = False
            if str(error) != self._problem:
                self._problem = str(error)
                self._log("slots", f"cannot set {desired} slots: {error}", failed=True)
            return
        if self.settled and not before:
            self._problem = ""
            self._log("slots", f"each replica has {desired} slots")

    async def _reconcile(self, desired: int) -> bool:
        """Do one step. Returns whether everything agrees."""
        if self._configured > desired:
            self._write_config(desired)
        limits = await self.gateway.limits()
        if over := [index for index, limit in limits.items() if limit > desired]:
            await self.gateway.set_limit(over, desired)
        if self.file.read() != (desired, ""):
            self.file.write(desired)
        under = [index for index, limit in limits.items() if limit < desired]
        can_take = await asyncio.gather(*(self._can_take(index, desired) for index in under))
        await self.gateway.set_limit([*compress(under, can_take)], desired)
        if over or under:
            return False  # until the gateway itself reports the new limits
        if not await self._all_report(limits, desired):
            return False
        if self._configured < desired:
            self._write_config(desired)
        return True

    async def _can_take(self, index: int, desired: int) -> bool:
        """Whether a replica has the slots; one that is not running starts with them."""
        return index not in self.replicas() or (await self.reported(index) or 0) >= desired

    async def _all_report(self, indexes: Mapping[int, int], desired: int) -> bool:
        running = [index for index in indexes if index in self.replicas()]
        reported = await asyncio.gather(*(self.reported(index) for index in running))
        return all(slots in {desired, None} for slots in reported)

    def _write_config(self, slots: int) -> None:
        self.write_config(slots)
        self._configured = slots

    def _log(self, action: str, message: str, *, failed: bool = False) -> None:
        self.event_log.record(
            action,
            message,
            component=COMPONENT,
            level="error" if failed else "info",
            fields={"tidegate": {"component": COMPONENT, "slots": {"desired": self.desired}}},
        )
