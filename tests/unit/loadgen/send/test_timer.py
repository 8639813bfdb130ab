"""The alarm clock rings at its time: never before, and soon after."""

from __future__ import annotations

import asyncio
import time

import pytest

from tidegate.loadgen.send.timer import Alarm


async def test_it_never_rings_before_its_time() -> None:
    with Alarm() as alarm:
        for offset in (0.003, 0.0001, 0.02, 0.0, -1.0, 0.0015):
            when = time.monotonic() + offset
            await alarm.wait_until(when)
            assert time.monotonic() >= when


async def test_who_is_late_lets_the_others_have_their_turn() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    with Alarm() as alarm:
        task = asyncio.create_task(other())
        await alarm.wait_until(time.monotonic() - 1)
        turns.append("alarm")
        await task
    assert turns == ["other", "alarm"]


async def test_it_can_be_set_anew_after_a_wait_was_given_up() -> None:
    with Alarm() as alarm:
        waiting = asyncio.create_task(alarm.wait_until(time.monotonic() + 60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        when = time.monotonic() + 0.002
        await asyncio.wait_for(alarm.wait_until(when), 10)
        assert time.monotonic() >= when
