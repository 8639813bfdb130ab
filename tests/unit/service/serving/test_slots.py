"""A fixed number of requests run at once; the others wait in line, not too many and not too long."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from tidegate.service.problems import RequestError
from tidegate.service.serving.slots import Slot, SlotMetrics, Slots


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


async def test_concurrency_is_limited_by_the_number_of_slots() -> None:
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


async def test_slots_go_to_the_request_that_has_waited_longest() -> None:
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


async def test_the_waiting_time_is_reported() -> None:
    world = World(1)
    held = await world.slots.acquire()
    next_one = asyncio.create_task(world.slots.acquire())
    await settle()
    world.now_ns += 5_000
    world.slots.release(held)
    assert (await next_one).waited_ns == 5_000


async def test_a_full_queue_is_a_503_with_retry_after() -> None:
    world = World(1, length=1, seconds=1.5)
    await world.slots.acquire()
    waiting = asyncio.create_task(world.slots.acquire())
    await settle()
    with pytest.raises(RequestError, match="All 1 slots are busy and 1 requests wait") as caught:
        await world.slots.acquire()
    assert caught.value.status == 503
    assert caught.value.headers == {"Retry-After": "2"}
    waiting.cancel()


async def test_a_wait_that_is_too_long_is_a_503_and_leaves_the_queue() -> None:
    world = World(1, seconds=0.01)
    held = await world.slots.acquire()
    with pytest.raises(RequestError, match=r"No slot of 1 became free within 0\.01 s") as caught:
        await world.slots.acquire()
    assert caught.value.status == 503
    assert world.slots.waiting == 0
    world.slots.release(held)
    assert world.slots.busy == 0


async def test_a_cancelled_request_leaves_the_queue() -> None:
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


async def test_a_slot_assigned_to_a_cancelled_request_goes_to_the_next() -> None:
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


async def test_a_request_that_is_leaving_the_queue_is_skipped() -> None:
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


async def test_new_slots_go_at_once_to_the_requests_that_have_waited_longest() -> None:
    world = World(1)
    held = await world.slots.acquire()
    waiting = [asyncio.create_task(world.slots.acquire()) for _ in range(3)]
    await settle()
    world.slots.resize(3)
    await settle()
    assert [one.done() for one in waiting] == [True, True, False]
    assert (world.slots.busy, world.slots.waiting, world.slots.has_free) == (3, 1, False)
    assert (world.sample("tidegate_slots"), world.sample("tidegate_slots_busy")) == (3, 3)
    world.slots.release(held)
    for one in waiting:
        world.slots.release(await one)
    assert world.slots.busy == 0


async def test_a_busy_slot_is_removed_when_its_request_ends() -> None:
    world = World(4)
    held = [await world.slots.acquire() for _ in range(4)]
    world.slots.resize(2)
    waiting = asyncio.create_task(world.slots.acquire())
    await settle()
    assert (world.sample("tidegate_slots"), world.sample("tidegate_slots_busy")) == (2, 4)
    for slot, busy in zip(held[:2], (3, 2), strict=True):
        world.slots.release(slot)
        await settle()
        assert (world.slots.busy, world.slots.has_free, waiting.done()) == (busy, False, False)
    world.slots.release(held[2])
    world.slots.release(await asyncio.wait_for(waiting, 5))
    world.slots.release(held[3])
    assert (world.slots.busy, world.slots.has_free) == (0, True)


async def test_a_new_slot_assigned_to_a_cancelled_request_goes_to_the_next() -> None:
    world = World(1)
    held = await world.slots.acquire()
    gives_up = asyncio.create_task(world.slots.acquire())
    patient = asyncio.create_task(world.slots.acquire())
    await settle()
    world.slots.resize(2)  # the first in line gets it …
    gives_up.cancel()  # … and leaves before knowing it
    world.slots.release(await asyncio.wait_for(patient, 5))
    with pytest.raises(asyncio.CancelledError):
        await gives_up
    world.slots.release(held)
    assert world.slots.busy == 0


@settings(max_examples=200)
@given(
    first=st.integers(1, 4),
    steps=st.lists(
        st.one_of(
            st.just(("ask", 0)),
            st.tuples(st.just("resize"), st.integers(1, 6)),
            st.tuples(st.sampled_from(["end", "leave"]), st.integers(0, 20)),
        ),
        max_size=40,
    ),
)
def test_no_slot_is_lost_or_assigned_twice(first: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        world = World(first, length=100)
        asked: list[asyncio.Task[Slot]] = []
        for step, number in steps:
            before = world.slots.busy
            if step == "ask":
                asked.append(asyncio.create_task(world.slots.acquire()))
            elif step == "resize":
                world.slots.resize(number)
            elif asked:
                one = asked[number % len(asked)]
                if step == "end" and one.done() and not one.cancelled():
                    asked.remove(one)
                    world.slots.release(one.result())
                elif step == "leave" and not one.done():
                    asked.remove(one)
                    one.cancel()
            await settle()
            held = sum(one.done() for one in asked)
            assert world.slots.busy == held
            assert world.slots.waiting == len(asked) - held
            # Never more at once than there are; those that there were before end by themselves.
            assert held <= max(world.slots.count, before)
            assert not (world.slots.waiting and world.slots.has_free)
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(play())
