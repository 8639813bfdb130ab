"""A replica applies the number of slots in its file, at the start and while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.eventually import eventually_async
from support.harnesses.served_app import Serve
from tidegate.runtime.slots_file import SlotsFile


async def test_a_replica_starts_with_the_slots_of_the_file_and_follows_it(
    serve: Serve, tmp_path: Path
) -> None:
    file = SlotsFile(tmp_path / "slots", max_slots=4)
    file.write(3)
    slots_section = {"per_replica": 2, "max": 4, "file": file.path}
    async with serve(slots=slots_section, loaded=False) as served:
        await eventually_async(lambda: served.replica.slots.count == 3)
        file.write(4)
        await eventually_async(lambda: served.replica.slots.count == 4)
        metrics = (await served.client.get("/metrics")).text
        assert "\ntidegate_slots 4.0\n" in metrics
        file.path.unlink()
        file.write(1)
        await eventually_async(lambda: served.replica.slots.count == 1)
        changes = [
            (event["tidegate"]["before"], event["tidegate"]["slots"])
            for event in served.events("app")
            if event["message"] == "slots changed"
        ]
        assert changes == [(2, 3), (3, 4), (4, 1)]


async def test_an_invalid_file_changes_nothing_and_is_logged_once(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "slots"
    file.write_text("5")
    slots_section = {"per_replica": 2, "max": 4, "file": file}
    async with serve(slots=slots_section, loaded=False) as served:

        def warnings() -> list[str]:
            return [
                event["tidegate"]["reason"]
                for event in served.events("app")
                if event["message"] == "the slots stay as they are"
            ]

        await eventually_async(lambda: len(warnings()) == 1)
        assert warnings()[0].endswith("contains '5', expected a number from 1 to 4")
        assert served.replica.slots.count == 2
        for _ in range(5):
            served.replica.slots_follower.apply()
        file.write_text("many")
        await eventually_async(lambda: len(warnings()) == 2)
        file.write_text("4")
        await eventually_async(lambda: served.replica.slots.count == 4)
        assert len(warnings()) == 2


async def test_without_a_file_the_slots_do_not_change(serve: Serve) -> None:
    async with serve(slots={"per_replica": 3}, loaded=False) as served:
        await asyncio.wait_for(served.replica.slots_follower.run(), 5)
        assert served.replica.slots.count == 3
