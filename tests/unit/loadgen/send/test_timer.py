"""The timer clock rings at its time: never before, and soon after."""

from __future__ import annotations

import asyncio
import time

import pytest

from tidegate.loadgen.send.timer import AbsoluteTimer


async def test_it_does_not_expire_early() -> None:
    with AbsoluteTimer() as timer:
        for offset in (0.003, 0.0001, 0.02, 0.0, -1.0, 0.0015):
            when = time.monotonic() + offset
            await timer.wait_until(when)
            assert time.monotonic() >= when


async def test_a_late_waiter_lets_other_tasks_run() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    with AbsoluteTimer() as timer:
        task = asyncio.create_task(other())
        await timer.wait_until(time.monotonic() - 1)
        turns.append("timer")
        await task
    assert turns == ["other", "timer"]


async def test_it_can_be_set_again_after_a_cancelled_wait() -> None:
    with AbsoluteTimer() as timer:
        waiting = asyncio.create_task(timer.wait_until(time.monotonic() + 60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        when = time.monotonic() + 0.002
        await asyncio.wait_for(timer.wait_until(when), 10)
        assert time.monotonic() >= when
