"""Whether the processors of this machine are fully used, so that more replicas cannot help."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psutil

from tidegate.runtime.event_log import EventLog

ACTION: Final = "processors"
POLL_SECONDS: Final = 5.0
SAMPLES: Final = 13  # a minute
FULL: Final = 0.95
FREE: Final = 0.9
# While it lasts, it is logged again after this time, for `tidegate explain`.
REPEAT_SECONDS: Final = 600.0


def processor_seconds() -> tuple[float, float]:
    """The seconds that the processors of this machine worked, and all of theirs, since its start."""
    times = psutil.cpu_times()
    total = times.user + times.nice + times.system + times.idle
    total += times.iowait + times.irq + times.softirq + times.steal
    return total - times.idle - times.iowait, total


@dataclass(slots=True)
class ProcessorMonitor:
    """Measures how busy the processors were in the last minute, whoever used them.

    `times` are the seconds of work and of all time; `problem` is empty unless they are fully used.
    """

    event_log: EventLog
    times: Callable[[], tuple[float, float]] = processor_seconds
    clock: Callable[[], float] = time.monotonic
    problem: str = field(default="", init=False)
    _samples: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=SAMPLES), init=False
    )

    async def run(self) -> None:
        """Measure, until cancelled."""
        while True:
            self.observe()
            await asyncio.sleep(POLL_SECONDS)

    def observe(self) -> None:
        """Measure once."""
        self._samples.append(self.times())
        if len(self._samples) < SAMPLES:
            return
        (busy_before, before), (busy_now, now) = self._samples[0], self._samples[-1]
        share = (busy_now - busy_before) / (now - before) if now > before else 0.0
        if share >= FULL:
            self.problem = (
                f"the processors of this machine were {share:.0%} busy over the last minute: more replicas"
                " on it cannot help"
            )
            cause = f"{self.clock() // REPEAT_SECONDS}"
            self.event_log.condition(ACTION, self.problem, cause=cause)
        elif share < FREE:
            self.problem = ""
            self.event_log.resolved(ACTION, "the processors of this machine have time again")
