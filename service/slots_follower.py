"""The slots of a running replica follow a file: `slots.file`, which the supervisor writes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from service.slots import Slots
from tidegate.slots_file import SlotsFile
from tidegate.telemetry import get_logger

# A look costs less than 10 µs; whoever changes the slots waits until the replica shows them.
POLL_SECONDS: Final = 0.1

log = get_logger("service.slots")


@dataclass(slots=True)
class SlotsFollower:
    """Gives a replica the slots that the file says.

    Attributes:
        slots: the replica's.
        file: where the number stands; None if nobody may change it.
    """

    slots: Slots
    file: SlotsFile | None
    _problem: str = field(default="", init=False)

    def look(self) -> None:
        """Do what the file says; without one, or with a bad one, the slots stay as they are."""
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
        """Look again and again, until cancelled."""
        while self.file is not None:
            self.look()
            await asyncio.sleep(POLL_SECONDS)
