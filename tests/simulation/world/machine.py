"""Processes that run production code, each call of which may be the last one, or wait for another process.

A process is what a kill ends and what a lock belongs to; its threads are greenlets. They take turns at their
calls of the system: which one continues is drawn from a seed. A kill is an exception that no production code
catches; a dead process's calls raise it again and do nothing, so that its `finally` blocks do nothing either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType

from greenlet import getcurrent, greenlet

from .files import FileSystem, Inode

CALL_NS = 20_000
"""What a call of the system takes."""


class KilledError(BaseException):
    """The process is dead."""


class ViolationError(BaseException):
    """An invariant does not hold."""


class UnsupportedCallError(BaseException):
    """Production code makes a call that is not simulated."""


Action = Callable[["Process", str, str], None]
"""A fault: gets the process, and the name and the path of the call before which it happens; it may raise."""


@dataclass(eq=False)
class Process:
    """A process; `faults` happen before its calls of these numbers."""

    name: str
    pid: int
    dead: bool = False
    calls: int = 0
    suspended: float = 0.0
    faults: dict[int, list[Action]] = field(default_factory=dict)
    descriptors: set[int] = field(default_factory=set)


@dataclass(eq=False)
class Task:
    """A thread of a process."""

    process: Process
    thread: greenlet
    idle: bool = False  # waits for the next time that somebody runs it


class Machine:
    """The files, the clock and the processes."""

    def __init__(self, *, traced: bool = False) -> None:
        self.files = FileSystem()
        self.now = 1_772_366_400.0  # what the clock shows, in seconds since 1970
        self.monotonic = 1000.0
        self.ticking = True
        self.calls = 0
        self.limit = 0
        self.trace: list[str] | None = [] if traced else None
        self.random = Random(0)
        self.tasks: list[Task] = []
        self.task: Task | None = None
        self._hub = getcurrent()
        self._ready: list[Task] = []
        self._pids = 100
        self._died = False
        self._processes: list[Process] = []
        self.on_power_failure: Callable[[], None] = lambda: None

    # Time

    def pass_time(self, seconds: float) -> None:
        """Let time pass; a clock that stands shows the same."""
        self.monotonic += seconds
        if self.ticking:
            self.now += seconds
        self.files.now, self.files.monotonic = self.now, self.monotonic

    def set_clock(self, seconds: float) -> None:
        """Let the clock jump by so much."""
        self.now += seconds
        self.files.now = self.now

    def time_ns(self) -> int:
        """Nanoseconds since 1970."""
        return int(self.now * 1e9)

    # Processes

    def start(self, name: str) -> Process:
        """A new process."""
        self._pids += 1
        self._processes = [one for one in self._processes if not one.dead]
        self._processes.append(process := Process(name, self._pids))
        return process

    def kill(self, process: Process) -> None:
        """End a process: its files are closed, and what it wrote stays in the page cache."""
        process.dead = self._died = True
        for number in sorted(process.descriptors & self.files.opened.keys()):
            self.files.close(number)
        process.descriptors.clear()

    @staticmethod
    def killed() -> KilledError:
        """What a dead process gets from each call."""
        return KilledError()

    def spawn(self, process: Process, main: Callable[[], object]) -> Task:
        """A thread of a process, which runs with the next `run`."""

        def body() -> None:
            with suppress(KilledError):
                main()

        task = Task(process, greenlet(body))
        self.tasks.append(task)
        return task

    @property
    def process(self) -> Process:
        """The process that runs."""
        assert self.task is not None, "a call of the system outside of a process"
        return self.task.process

    def run(self, tasks: Sequence[Task], random: Random, *, limit: int = 20_000) -> None:
        """Run threads until each ends or is idle, taking turns.

        Raises:
            ViolationError: one makes more than `limit` calls, or breaks an invariant.
        """
        self.random, self.limit = random, self.calls + limit
        self._ready = ready = list(tasks)
        self.tasks = [task for task in self.tasks if not task.thread.dead]
        for task in ready:
            task.idle = False
        while ready:
            going = [one for one in ready if not one.process.suspended]
            if not going:
                self.pass_time(max(one.process.suspended for one in ready))
                for one in ready:
                    one.process.suspended = 0.0
                continue
            self.task = task = going[0] if len(going) == 1 else random.choice(going)
            task.thread.switch()
            self.task = None
            self._bury()
            ready[:] = [one for one in ready if not (one.thread.dead or one.idle)]

    def _bury(self) -> None:
        """Unwind the other threads of processes that have just died."""
        if not self._died:
            return
        self._died = False
        for task in self.tasks:
            if task.process.dead and not task.thread.dead:
                self.task = task
                if task.thread:
                    task.thread.throw(KilledError())
                else:
                    task.thread.throw()
                self.task = None
        self.tasks = [task for task in self.tasks if not task.thread.dead]

    def end(self) -> None:
        """End all processes."""
        for task in self.tasks:
            self.kill(task.process)
        self._bury()

    def rest(self) -> None:
        """Wait until somebody runs this thread again."""
        assert self.task is not None
        self.task.idle = True
        self._switch()

    def yield_turn(self) -> None:
        """Let the others run, if there are any."""
        if len(self._ready) > 1 or self.process.suspended:
            self._switch()

    def _switch(self) -> None:
        task = self.task
        self._hub.switch()
        assert task is not None
        if task.process.dead:
            raise KilledError

    def call(self, name: str, path: str, detail: object = "") -> Process:
        """What happens at each call of the system before its effect.

        Raises:
            KilledError: the process is dead, or dies now.
            OSError: the call fails.
        """
        process = self.process
        if process.dead:
            raise KilledError
        self.calls += 1
        process.calls += 1
        if self.calls > self.limit:
            raise ViolationError(f"no progress: {self.limit} calls, now {name} {path}")
        self.pass_time(CALL_NS / 1e9)
        if self.trace is not None:
            self.note(f"{process.name} {name} {path} {detail}")
        if process.faults and (actions := process.faults.pop(process.calls, None)):
            for action in actions:
                action(process, name, path)
        if process.suspended or (len(self._ready) > 1 and self.random.random() < 0.3):
            self._switch()
        return process

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(text)

    def lose_power(self, random: Random) -> None:
        """End all processes and lose what was not on the disk."""
        for process in self._processes:
            process.dead = self._died = True
            process.descriptors.clear()
        self.files.lose_power(random)
        self.on_power_failure()

    def described(self, number: int) -> Inode:
        """The inode of a descriptor."""
        return self.files.described(number).inode


class ThreadLock:
    """A reentrant lock of threads that are greenlets."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._owner: Task | None = None
        self._depth = 0

    def __enter__(self) -> None:
        machine = self._machine
        while self._owner not in (None, machine.task):
            machine.yield_turn()
        self._owner = machine.task
        self._depth += 1

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
