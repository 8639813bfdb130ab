"""A fixed number of requests run at once; the others wait in line, not too many and not too long."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from service.problems import RequestError
from service.slots import Slot, SlotMetrics, Slots


class World:
    """Slots, and what Prometheus sees of them."""

    def __init__(self, count: int, *, length: int = 8, seconds: float = 30.0) -> None:
        self.registry = CollectorRegistry()
        self.now_ns = 0
        self.slots = Slots(
            count,
            wait_length=length,
            wait_seconds=seconds,
            metrics=SlotMetrics(self.registry),
            clock_ns=lambda: self.now_ns,
        )

    def sample(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_as_many_run_at_once_as_there_are_slots() -> None:
    world = World(2)
    first, second = await world.slots.acquire(), await world.slots.acquire()
    third = asyncio.create_task(world.slots.acquire())
    await settle()
    assert (world.slots.busy, world.slots.waiting, third.done()) == (2, 1, False)
    assert not world.slots.has_free
    with first:
        pass
    with await third, second:
        assert world.slots.busy == 2
    assert world.slots.busy == 0
    assert world.slots.has_free


async def test_slots_go_to_whoever_waits_longest() -> None:
    world = World(1)
    order: list[int] = []

    async def work(number: int) -> None:
        with await world.slots.acquire():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_times_and_busy_slots_are_metrics() -> None:
    world = World(2)
    with await world.slots.acquire() as slot:
        assert world.sample("tidegate_slots_busy") == 1
        world.now_ns += 80_000_000
    assert slot.waited_ns == 0
    assert world.sample("tidegate_slots") == 2
    assert world.sample("tidegate_slots_busy") == 0
    assert world.sample("tidegate_slot_seconds_count") == 1
    assert world.sample("tidegate_slot_seconds_sum") == pytest.approx(0.08)


async def test_the_time_waited_is_told() -> None:
    world = World(1)
    held = await world.slots.acquire()
    next_one = asyncio.create_task(world.slots.acquire())
    await settle()
    world.now_ns += 5_000
    world.slots.release(held)
    assert (await next_one).waited_ns == 5_000


async def test_a_line_that_is_full_is_a_503_with_retry_after() -> None:
    world = World(1, length=1, seconds=1.5)
    await world.slots.acquire()
    waiting = asyncio.create_task(world.slots.acquire())
    await settle()
    with pytest.raises(RequestError, match="All 1 slots are busy and 1 requests wait") as caught:
        await world.slots.acquire()
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "2"}
    waiting.cancel()


async def test_a_wait_that_is_too_long_is_a_503_and_leaves_the_line() -> None:
    world = World(1, seconds=0.01)
    held = await world.slots.acquire()
    with pytest.raises(RequestError, match=r"No slot of 1 became free within 0\.01 s") as caught:
        await world.slots.acquire()
    assert caught.value.status == 503
    assert world.slots.waiting == 0
    world.slots.release(held)
    assert world.slots.busy == 0


async def test_whoever_gives_up_waiting_leaves_the_line() -> None:
    world = World(1)
    held = await world.slots.acquire()
    waiting = asyncio.create_task(world.slots.acquire())
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert world.slots.waiting == 0
    world.slots.release(held)
    assert world.slots.busy == 0


async def test_a_slot_handed_to_one_who_just_gave_up_goes_to_the_next() -> None:
    world = World(1)
    held = await world.slots.acquire()
    gives_up = asyncio.create_task(world.slots.acquire())
    patient = asyncio.create_task(world.slots.acquire())
    await settle()
    world.slots.release(held)  # it is given to the first in line …
    gives_up.cancel()  # … who leaves before knowing it
    with pytest.raises(asyncio.CancelledError):
        await gives_up
    slot = await asyncio.wait_for(patient, 5)
    assert world.slots.busy == 1
    world.slots.release(slot)
    assert world.slots.busy == 0


async def test_one_who_is_leaving_is_passed_over() -> None:
    world = World(1)
    held = await world.slots.acquire()
    gives_up = asyncio.create_task(world.slots.acquire())
    patient = asyncio.create_task(world.slots.acquire())
    await settle()
    gives_up.cancel()  # it has not run yet, and still stands in line
    world.slots.release(held)
    slot: Slot = await asyncio.wait_for(patient, 5)
    world.slots.release(slot)
    assert (world.slots.busy, world.slots.waiting) == (0, 0)
    with pytest.raises(asyncio.CancelledError):
        await gives_up
