"""Applies the number of slots in the file `slots.file`, which the supervisor writes, to a replica."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from tidegate.runtime.keep_running import keep_running
from tidegate.runtime.slots_file import SlotsFile
from tidegate.serving.slots import Slots
from tidegate.telemetry import get_logger

# A poll takes less than 10 µs; the supervisor waits until the replica reports the new number.
POLL_SECONDS: Final = 0.1

log = get_logger("tidegate.serving.slots_follower")


@dataclass(slots=True)
class SlotsFollower:
    """Applies the number of slots in a file to the slots of a replica; without a file it is fixed."""

    slots: Slots
    file: SlotsFile | None
    _problem: str = field(default="", init=False)

    def apply(self) -> None:
        """Apply the number in the file; without a file, or with an invalid one, nothing changes."""
        if self.file is None:
            return
        count, problem = self.file.read()
        if problem and problem != self._problem:
            log.warning("the slots stay as they are", slots=self.slots.count, reason=problem)
        self._problem = problem
        if count is not None and count != self.slots.count:
            log.info("slots changed", before=self.slots.count, slots=count)
            self.slots.resize(count)

    async def run(self) -> None:
        """Poll the file until cancelled."""
        await keep_running("slots", self._follow, _log_fault)

    async def _follow(self) -> None:
        while self.file is not None:
            self.apply()
            await asyncio.sleep(POLL_SECONDS)


def _log_fault(name: str, error: Exception, wait_seconds: float) -> None:
    log.error("failed unexpectedly, and runs again", loop=name, after=wait_seconds, exc_info=error)
