"""Request slots: the concurrency limit of a replica, and the queue for a slot."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry, Gauge, Histogram

from tidegate.settings import Slo
from tidegate.telemetry.metrics import SLOW_BUCKETS, edges_with_objective

DEFAULT_SLO: Final = Slo()
SLOT_KEY: Final = "tidegate.slot"
"""The key of a request's slot in its ASGI scope."""

# From a light request on the CPU (0.1 ms) to a stream of a minute, and finer around the demo's
# 30, 80 and 200 ms, because the autoscaler computes quantiles from these buckets. Edges at the objective and
# around it are added: a quantile that is interpolated across it may exceed it although no request did.
_BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.09),
    *(0.125, 0.15, 0.2, 0.225, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *SLOW_BUCKETS,
)


class NoSlotError(Exception):
    """No slot was free in time: the response is a 503.

    Attributes:
        message: the reason, for the client.
        retry_after_seconds: when the client may try again, for the header `Retry-After`.
    """

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class SlotMetrics:
    """The metrics of the slots.

    Args:
        registry: their registry.
        slo: the objective, whose time is an edge of their histograms; if it is about the first byte of the
            response, the time until then is a metric, too.
    """

    def __init__(self, registry: CollectorRegistry, slo: Slo = DEFAULT_SLO) -> None:
        buckets = edges_with_objective(_BUCKETS, slo.latency_seconds)
        self.seconds: Final = Histogram(
            "tidegate_slot_seconds",
            "Time a request spent in a slot: the service time.",
            buckets=buckets,
            registry=registry,
        )
        self.first_byte_seconds: Final = (
            Histogram(
                "tidegate_slot_first_byte_seconds",
                "With slo.until = first_byte: time a request spent in a slot until the first byte "
                "of its response's body.",
                buckets=buckets,
                registry=registry,
            )
            if slo.until == "first_byte"
            else None
        )
        self.total: Final = Gauge(
            "tidegate_slots", "Requests that this replica works on at once.", registry=registry
        )
        self.busy: Final = Gauge(
            "tidegate_slots_busy", "Slots that are in use now.", registry=registry
        )


@dataclass(slots=True)
class Slot:
    """A slot in use.

    Attributes:
        slots: the slots of the replica.
        waited_ns: time that the request waited for it, in nanoseconds.
        since_ns: when it was acquired, on the clock of the slots.
        first_byte_sent: whether the first byte of its response has been sent.
        task: the task of the request, while it holds the slot; None if the application acquired it itself.
        abandoned: whether the request was cancelled, as its client had left.
    """

    slots: Slots
    waited_ns: int
    since_ns: int
    first_byte_sent: bool = False
    task: asyncio.Task[Any] | None = None
    abandoned: bool = False

    def held_seconds(self) -> float:
        """For how long the request has held it."""
        return self.slots.seconds_since(self.since_ns)

    def first_byte(self) -> None:
        """Record that the first byte of the response's body is sent; later calls have no effect.

        Without a call it counts as sent when the slot is released.
        """
        if not self.first_byte_sent:
            self.first_byte_sent = True
            self.slots.observe_first_byte(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.slots.release(self)


class Slots:
    """Request slots, in first-in, first-out order.

    The gateway sends no more requests than there are slots, so requests normally do not wait here. The
    queue is bounded in length and time for callers that bypass the gateway.

    Args:
        count: the number of slots.
        wait_length: the largest number of waiting requests; further ones are refused.
        wait_seconds: the longest wait.
        metrics: the metrics of the slots.
        clock_ns: a monotonic clock, in nanoseconds.
    """

    def __init__(
        self,
        count: int,
        *,
        wait_length: int,
        wait_seconds: float,
        metrics: SlotMetrics,
        clock_ns: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self._count = count
        self._busy = 0
        self._wait_length = wait_length
        self._wait_seconds = wait_seconds
        self._metrics = metrics
        self._clock_ns = clock_ns
        self._waiting: deque[asyncio.Future[None]] = deque()
        metrics.total.set(count)
        metrics.busy.set_function(lambda: self._busy)

    @property
    def count(self) -> int:
        """The number of slots."""
        return self._count

    @property
    def busy(self) -> int:
        """The number of slots in use; after a reduction it may exceed `count` until requests end."""
        return self._busy

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a slot."""
        return len(self._waiting)

    @property
    def has_free(self) -> bool:
        """Whether the next request gets a slot at once."""
        return self._busy < self._count

    def resize(self, count: int) -> None:
        """Change the number of slots.

        New slots go to waiting requests at once. A busy slot is removed when its request ends.
        """
        self._count = count
        self._metrics.total.set(count)
        self._admit()

    async def acquire(self) -> Slot:
        """Acquire a slot. Use it at once as `with slot:`, which releases it at the end.

        Raises:
            NoSlotError: the queue is full, or the wait was too long.
        """
        if self.has_free:
            return self.take()
        requested_ns = self._clock_ns()
        await self._wait()
        acquired_ns = self._clock_ns()
        return Slot(self, waited_ns=acquired_ns - requested_ns, since_ns=acquired_ns)

    def take(self) -> Slot:
        """As `acquire`, without a wait: only if `has_free`."""
        self._busy += 1
        return Slot(self, waited_ns=0, since_ns=self._clock_ns())

    def observe_first_byte(self, slot: Slot) -> None:
        """Record the time to the first byte of a response; `slot.first_byte()` does it once."""
        if self._metrics.first_byte_seconds is not None:
            self._metrics.first_byte_seconds.observe(self.seconds_since(slot.since_ns))

    def release(self, slot: Slot) -> None:
        """Release a slot to the next waiting request; `with slot:` does it.

        That of an abandoned request does not count as service time: requests are not expected to hang.
        """
        slot.task = None
        if not slot.abandoned:
            slot.first_byte()
            self._metrics.seconds.observe(self.seconds_since(slot.since_ns))
        self._free()

    def seconds_since(self, since_ns: int) -> float:
        """The time since then, on the clock of the slots."""
        return (self._clock_ns() - since_ns) / 1e9

    def give_back(self, slot: Slot) -> None:
        """Release a slot in which nothing was done, so that it does not count as service time."""
        del slot
        self._free()

    async def _wait(self) -> None:
        if len(self._waiting) >= self._wait_length:
            raise self._overloaded(
                f"All {self.count} slots are busy and {self.waiting} requests wait"
            )
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await waiter
        except TimeoutError:
            if self._leave_queue(waiter):
                return
            message = f"No slot of {self.count} became free within {self._wait_seconds:g} s"
            raise self._overloaded(message) from None
        except asyncio.CancelledError:
            if self._leave_queue(waiter):
                self._free()
            raise

    def _leave_queue(self, waiter: asyncio.Future[None]) -> bool:
        """Leave the queue; True if a slot was assigned at the same moment."""
        if waiter.done() and not waiter.cancelled():
            return True
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        return False

    def _free(self) -> None:
        self._busy -= 1
        self._admit()

    def _admit(self) -> None:
        """Assign the free slots to the requests that have waited longest."""
        while self._waiting and self.has_free:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else its request is leaving the queue
                waiter.set_result(None)
                self._busy += 1

    def _overloaded(self, message: str) -> NoSlotError:
        return NoSlotError(message, math.ceil(self._wait_seconds))
