"""A replica goes on following the file of slots after an unexpected error."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from tidegate.runtime.slots_file import SlotsFile
from tidegate.serving.slots import SlotMetrics, Slots
from tidegate.serving.slots_follower import SlotsFollower


async def test_an_unexpected_error_does_not_end_the_following(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots(
        2,
        wait_length=1,
        wait_seconds=1.0,
        metrics=SlotMetrics(CollectorRegistry()),
    )
    file = SlotsFile(tmp_path / "slots", 8)
    file.write(4)
    resize, failures, resized = Slots.resize, ["once"], asyncio.Event()

    def fails_once(self: Slots, count: int) -> None:
        if failures:
            raise ValueError(failures.pop())
        resize(self, count)
        resized.set()

    monkeypatch.setattr(Slots, "resize", fails_once)
    following = asyncio.create_task(SlotsFollower(slots, file).run())
    async with asyncio.timeout(10):
        await resized.wait()
    assert slots.count == 4
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
