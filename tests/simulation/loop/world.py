"""The simulated world: the clock, the faults in force, the trace, and the first violation of an invariant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tidegate.runtime.locks import LockedError

from .event_loop import PROCESS, OsProcess, SimulatedLoop, check_alive
from .schedule import Fault, Schedule

if TYPE_CHECKING:
    from .gateway import Gateway
    from .programs import Running

BEGIN_UNIX: Final = 1_700_000_000.0


class Violated(BaseException):
    """An invariant does not hold. Not an Exception: production code must not catch it."""


class World:
    """One run of a schedule. Everything random comes from its seed."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule, self.setup = schedule, schedule.setup
        self.loop = SimulatedLoop(Random(f"order {schedule.seed}"), self._after_step)
        self.random = Random(f"world {schedule.seed}")
        self.trace: list[str] = []
        self.violation: tuple[str, str] | None = None
        self.over = False
        self.checks: list[Callable[[], None]] = []
        # When a fault of a part, and of its number, was last in force, for what it excuses.
        self._last_fault: dict[tuple[str, int | None], float] = {}
        # What listens, by its port.
        self.listeners: dict[int, Running] = {}
        self.gateway: Gateway
        # The version of the model or the code on the disk, and how many starts of it succeed.
        self.version, self.good_starts = 1, 1_000
        # Called with each event that a process writes, and its name.
        self.on_event: list[Callable[[str, Mapping[str, Any]], None]] = []
        # Called with a program before it ends.
        self.on_end: list[Callable[[Running], None]] = []
        # Who has the lock of the data folder, which ends with the process.
        self.lock: OsProcess | None = None
        self._active: list[Fault] = []
        self._clock_offset = 0.0
        self._last_pid = 100
        _WORLDS[self.loop] = self

    def close(self) -> None:
        """Release the loop."""
        del _WORLDS[self.loop]
        self.loop.close()

    @property
    def now(self) -> float:
        """Seconds on the monotonic clock."""
        return self.loop.now

    def unix(self) -> float:
        """Seconds since 1970, as this machine's clock has it."""
        return BEGIN_UNIX + self.loop.now + self._clock_offset

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self.loop.now:.6f} {text}")

    def fail(self, invariant: str, text: str) -> None:
        """Note that an invariant does not hold; the run ends."""
        if self.violation is None:
            self.violation = (invariant, f"{text}, {self.loop.now:.2f} s after the start")
            self.say(f"VIOLATION {invariant}: {text}")

    def begin(self, fault: Fault) -> None:
        """The fault is in force."""
        self.say(f"fault begins: {fault}")
        self._active.append(fault)
        self._note(fault)
        if fault.part == "clock":
            self._clock_offset += fault.number

    def end(self, fault: Fault) -> None:
        """It ends. The clock is not set right again: no later reading shows that it was wrong."""
        self.say(f"fault ends: {fault}")
        self._active.remove(fault)
        self._note(fault)

    def _note(self, fault: Fault) -> None:
        for number in (fault.number, None):
            self._last_fault[fault.part, number] = self.now

    def kind(self, part: str) -> str:
        """The kind of the part's fault that is in force, the latest; empty if none is."""
        return next((one.kind for one in reversed(self._active) if one.part == part), "")

    def number(self, part: str) -> int:
        """The number of that fault; 0 if none is in force."""
        return next((one.number for one in reversed(self._active) if one.part == part), 0)

    def has_had(self, part: str, seconds: float, number: int | None = None) -> bool:
        """Whether a fault of this part (and number) was in force within the last seconds."""
        if any(one.part == part and number in {None, one.number} for one in self._active):
            return True
        return self.now - self._last_fault.get((part, number), -1e9) <= seconds

    def process(self, name: str) -> OsProcess:
        """A new process."""
        self._last_pid += 1
        return OsProcess(name, self._last_pid)

    async def delay(self, longest: float = 0.01) -> None:
        """What a request over the network takes."""
        check_alive()
        await asyncio.sleep(self.random.uniform(0.0005, longest))
        check_alive()

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do this in the world, whatever happens to the process that asked for it."""
        self.loop.call_later(seconds, act, context=_OUTSIDE.context)

    def _after_step(self) -> None:
        for check in self.checks:
            check()
        if self.violation is not None and not self.over:
            self.over = True
            raise Violated


# The world itself is no process; nothing stops it.
_OUTSIDE: Final = OsProcess("world", 1)
_WORLDS: Final[dict[asyncio.AbstractEventLoop, World]] = {}


def world() -> World:
    """The world that runs now."""
    return _WORLDS[asyncio.get_running_loop()]


def caller() -> str:
    """The name of the process that runs now."""
    process = PROCESS.get()
    return process.name if process else "world"


@contextmanager
def exclusive_lock(path: Path, seconds: float) -> Iterator[int]:
    """In the place of a lock of the kernel."""
    del seconds
    check_alive()
    this = world()
    if this.lock and not this.lock.dead:
        raise LockedError(path)
    this.lock = PROCESS.get()
    yield 0


def lock_holder(path: Path) -> int:
    """The process in the file of the lock."""
    del path
    holder = world().lock
    return holder.pid if holder else 0


class SimulatedDatetime:
    """In the place of the class `datetime`."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        """The time of the world's clock."""
        return datetime.fromtimestamp(world().unix(), zone)


class SimulatedTime:
    """In the place of the module `time`."""

    @staticmethod
    def monotonic() -> float:
        """Seconds on the monotonic clock."""
        return world().now

    @staticmethod
    def time() -> float:
        """Seconds since 1970."""
        return world().unix()

    @staticmethod
    def time_ns() -> int:
        """Nanoseconds since 1970."""
        return round(world().unix() * 1e9)
