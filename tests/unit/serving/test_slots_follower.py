"""A replica applies the number of slots in its file, at the start and while it runs."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from support.eventually import eventually_async
from support.harnesses.event_files import events_in
from support.harnesses.served_app import lifespan
from tidegate.runtime.slots_file import SlotsFile
from tidegate.serving import make_replica
from tidegate.serving.slots import SlotMetrics, Slots
from tidegate.serving.slots_follower import SlotsFollower
from tidegate.settings import Settings


async def test_an_unexpected_error_does_not_end_the_following(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = SlotMetrics(CollectorRegistry())
    slots = Slots(2, wait_length=1, wait_seconds=1.0, metrics=metrics)
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


async def test_the_slots_follow_the_file_and_stay_while_it_is_invalid_or_gone(
    tmp_path: Path,
) -> None:
    file = SlotsFile(tmp_path / "slots", max_slots=4)
    file.write(3)
    slots = {"per_replica": 2, "max": 4, "file": file.path}
    replica = make_replica(Starlette(), Settings(stack={"data_dir": tmp_path}, slots=slots))
    counts = []
    async with lifespan(replica.app):
        counts.append(replica.slots.count)
        file.write(4)
        await eventually_async(lambda: replica.slots.count == 4)
        for text in ("5", "many"):
            file.path.write_text(text)
            for _ in range(2):
                replica.slots_follower.apply()
            counts.append(replica.slots.count)
        file.path.unlink()
        replica.slots_follower.apply()
        file.write(1)
        await eventually_async(lambda: replica.slots.count == 1)
        assert replica.telemetry.registry.get_sample_value("tidegate_slots") == 1
    fields = [event["tidegate"] for event in events_in(tmp_path / "logs") if "tidegate" in event]
    assert counts == [3, 4, 4]
    changes = [(one["before"], one["slots"]) for one in fields if "before" in one]
    assert changes == [(2, 3), (3, 4), (4, 1)]
    reasons = [one["reason"] for one in fields if "before" not in one and "slots" in one]
    assert len(reasons) == 2, "each problem is logged once"
    assert reasons[0].endswith("contains '5', expected a number from 1 to 4")


async def test_without_a_file_the_slots_do_not_change(tmp_path: Path) -> None:
    replica = make_replica(Starlette(), Settings(stack={"data_dir": tmp_path}))
    count = replica.slots.count
    await asyncio.wait_for(replica.slots_follower.run(), 5)
    assert replica.slots.count == count
