"""The limit on concurrent requests, and the queue of bounded length and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest
from prometheus_client import CollectorRegistry

from tidegate.serving import NoSlotError, SlotMetrics, Slots
from tidegate.settings import Slo


class Harness:
    """Slots with a manual clock and a registry."""

    def __init__(
        self,
        count: int,
        *,
        length: int = 8,
        seconds: float = 30.0,
        until: Literal["last_byte", "first_byte"] = "last_byte",
    ) -> None:
        self.registry = CollectorRegistry()
        self.now_ns = 0
        self.slots = Slots(
            count,
            wait_length=length,
            wait_seconds=seconds,
            metrics=SlotMetrics(self.registry, Slo(until=until)),
            clock_ns=lambda: self.now_ns,
        )

    def sample(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


async def run_tasks() -> None:
    """Run all tasks until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_times_and_busy_slots_are_metrics() -> None:
    harness = Harness(2)
    with await harness.slots.acquire() as slot:
        assert harness.sample("tidegate_slots_busy") == 1
        harness.now_ns += 80_000_000
    assert slot.waited_ns == 0
    names = ("slots", "slots_busy", "slot_seconds_count", "slot_seconds_sum")
    found = [harness.sample(f"tidegate_{name}") for name in names]
    assert found == [2, 0, 1, pytest.approx(0.08)]


async def test_the_waiting_time_is_reported() -> None:
    harness = Harness(1)
    first = await harness.slots.acquire()
    next_request = asyncio.create_task(harness.slots.acquire())
    await run_tasks()
    harness.now_ns += 5_000
    harness.slots.release(first)
    assert (await next_request).waited_ns == 5_000


async def test_a_wait_that_is_too_long_is_a_503_and_leaves_the_queue() -> None:
    harness = Harness(1, seconds=0.01)
    first = await harness.slots.acquire()
    with pytest.raises(NoSlotError, match=r"No slot of 1 became free within 0\.01 s") as caught:
        await harness.slots.acquire()
    assert caught.value.retry_after_seconds == 1
    assert harness.slots.waiting == 0
    harness.slots.release(first)
    assert harness.slots.busy == 0


@pytest.mark.parametrize(
    "steps",
    [
        # A slot is assigned to the first request in the queue, which is cancelled before it runs again.
        ("release", "cancel"),
        ("resize", "cancel"),
        # It has not run yet, so it is still in the queue.
        ("cancel", "release"),
    ],
    ids="-".join,
)
async def test_a_slot_of_a_request_that_is_cancelled_goes_to_the_next(
    steps: tuple[str, str],
) -> None:
    harness = Harness(1)
    first = await harness.slots.acquire()
    cancelled = asyncio.create_task(harness.slots.acquire())
    next_request = asyncio.create_task(harness.slots.acquire())
    await run_tasks()
    change: dict[str, Callable[[], object]] = {
        "release": lambda: harness.slots.release(first),
        "resize": lambda: harness.slots.resize(2),
        "cancel": cancelled.cancel,
    }
    for step in steps:
        change[step]()
    slot = await asyncio.wait_for(next_request, 5)
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert harness.slots.busy == (2 if "resize" in steps else 1)
    harness.slots.release(slot)
    if "resize" in steps:
        harness.slots.release(first)
    assert (harness.slots.busy, harness.slots.waiting) == (0, 0)


async def test_new_slots_go_at_once_to_the_requests_that_have_waited_longest() -> None:
    harness = Harness(1)
    first = await harness.slots.acquire()
    waiting = [asyncio.create_task(harness.slots.acquire()) for _ in range(3)]
    await run_tasks()
    harness.slots.resize(3)
    await run_tasks()
    assert [task.done() for task in waiting] == [True, True, False]
    assert (harness.slots.busy, harness.slots.waiting, harness.slots.has_free) == (3, 1, False)
    assert (harness.sample("tidegate_slots"), harness.sample("tidegate_slots_busy")) == (3, 3)
    harness.slots.release(first)
    for task in waiting:
        harness.slots.release(await task)
    assert harness.slots.busy == 0


async def test_a_busy_slot_is_removed_when_its_request_ends() -> None:
    harness = Harness(4)
    acquired = [await harness.slots.acquire() for _ in range(4)]
    harness.slots.resize(2)
    waiting = asyncio.create_task(harness.slots.acquire())
    await run_tasks()
    assert (harness.sample("tidegate_slots"), harness.sample("tidegate_slots_busy")) == (2, 4)
    for slot, busy in zip(acquired[:2], (3, 2), strict=True):
        harness.slots.release(slot)
        await run_tasks()
        assert (harness.slots.busy, harness.slots.has_free, waiting.done()) == (busy, False, False)
    harness.slots.release(acquired[2])
    harness.slots.release(await asyncio.wait_for(waiting, 5))
    harness.slots.release(acquired[3])
    assert (harness.slots.busy, harness.slots.has_free) == (0, True)


@pytest.mark.parametrize(("bytes_sent", "first"), [(3, 0.2), (0, 0.6)])
async def test_the_first_byte_of_a_response_is_measured_once_or_at_its_end(
    bytes_sent: int, first: float
) -> None:
    harness = Harness(2, until="first_byte")
    with await harness.slots.acquire() as stream:
        for number in range(3):
            harness.now_ns += 200_000_000
            if number < bytes_sent:
                stream.first_byte()
    assert harness.sample("tidegate_slot_first_byte_seconds_sum") == first
    assert harness.sample("tidegate_slot_seconds_sum") == 0.6


@pytest.mark.parametrize("name", ["tidegate_slot_seconds", "tidegate_slot_first_byte_seconds"])
@pytest.mark.parametrize("objective", [0.017, 1.5, 90.0])
def test_a_quantile_of_requests_within_the_objective_does_not_exceed_it(
    name: str, objective: float
) -> None:
    registry = CollectorRegistry()
    metrics = SlotMetrics(registry, Slo(latency_seconds=objective, until="first_byte"))
    for histogram in (metrics.seconds, metrics.first_byte_seconds):
        assert histogram is not None
        histogram.observe(0.99 * objective)
    # Interpolated up to this edge: 1.485 s of an objective of 1.5 s would be 2.4 s between 1 and 2.5 s.
    assert registry.get_sample_value(f"{name}_bucket", {"le": str(objective)}) == 1
