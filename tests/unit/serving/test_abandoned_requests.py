"""When requests that hang replace their replica."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from tidegate.serving import abandoned_requests
from tidegate.serving.abandoned_requests import SOON, AbandonedRequests
from tidegate.serving.slots import SLOT_KEY, SlotMetrics, Slots

SECONDS = 0.01


@pytest.mark.parametrize(
    ("times", "begun", "replaced"),
    [
        pytest.param([0.0, SOON * SECONDS / 2], False, True, id="soon after each other"),
        pytest.param([0.0, SOON * SECONDS * 2], False, False, id="now and then"),
        pytest.param([0.0, 0.0, 0.0], True, False, id="streams that wait for news"),
    ],
)
async def test_as_many_requests_that_hang_as_slots_replace_a_replica(
    times: list[float], begun: bool, replaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned_requests, "ENDING_SECONDS", 0.0)
    slots = Slots(2, wait_length=0, wait_seconds=0, metrics=SlotMetrics(CollectorRegistry()))
    reasons: list[str] = []
    clock = iter(times)
    abandoned = AbandonedRequests(slots, SECONDS, reasons.append, clock=lambda: next(clock))

    async def hang() -> None:
        with slots.take() as slot:
            slot.task = asyncio.current_task()
            if begun:
                slot.first_byte()
            abandoned.add({SLOT_KEY: slot})
            await asyncio.Event().wait()

    for _ in times:
        with suppress(asyncio.CancelledError):
            await asyncio.create_task(hang())
    assert bool(reasons) == replaced
    assert abandoned.any_cancelled


async def test_only_a_stream_has_time_to_notice_that_its_client_left_at_the_limit() -> None:
    slots = Slots(2, wait_length=0, wait_seconds=0, metrics=SlotMetrics(CollectorRegistry()))
    abandoned = AbandonedRequests(slots, 0.0, lambda reason: None)

    async def hang(*, begun: bool) -> None:
        with slots.take() as slot:
            slot.task = asyncio.current_task()
            if begun:
                slot.first_byte()
            abandoned.add({SLOT_KEY: slot})
            await asyncio.Event().wait()

    stream, hung = (asyncio.create_task(hang(begun=begun)) for begun in (True, False))
    done, _ = await asyncio.wait((stream, hung), return_when=asyncio.FIRST_COMPLETED)
    assert done == {hung}
    stream.cancel()
