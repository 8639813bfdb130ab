"""Keeps one program running: starts it, knows whether it is ready, starts it again when it died."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.stack.processes.process import Child, Command, OnLine, exit_words

State = Literal["starting", "ready", "failed", "draining", "gone"]
STARTING_POLL_SECONDS: Final = 0.1
READY_POLL_SECONDS: Final = 1.0
# One missed probe is a busy moment; three in a row are not.
MISSES: Final = 3


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to deal with it.

    Attributes:
        name: unique in the stack.
        command: how it is started.
        output: the file that takes its raw output.
        ready_url: answers 2xx when it is ready.
        address: what a person is shown.
        start_seconds: how long it may take to be ready, and how long it may not answer later.
        stop_seconds: how long it may take to end before it is killed.
        stop_signal: asks it to end when it has done its work.
        on_line: takes its standard output line by line, instead of the file.
        last_words: what it said before it ended, for a person.
    """

    name: str
    command: Command
    output: Path
    ready_url: str
    address: str
    start_seconds: float
    stop_seconds: float
    stop_signal: signal.Signals = signal.SIGTERM
    on_line: OnLine | None = None
    last_words: Callable[[], str] = lambda: ""


@dataclass(slots=True)
class Keeper:
    """The state machine of one program: starting → ready → draining → gone, and failed in between.

    `failed` is a program that died and waits for its next start, or that stopped answering.
    """

    program: Program
    event_log: EventLog
    probe: Probe
    changed: Callable[[], None] = lambda: None
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    state: State = field(default="starting", init=False)
    restarts: int = field(default=0, init=False)
    pid: int | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    ready_at: float | None = field(default=None, init=False)
    problem: str = field(default="", init=False)
    _child: Child | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _first: asyncio.Future[str] | None = field(default=None, init=False)
    _exit_code: int | None = field(default=None, init=False)
    _held: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Start the program and keep it running until `stop`."""
        self.started_at = time.time()
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")
        self._task.add_done_callback(self._ended)

    async def first_ready(self) -> str:
        """Wait until it is ready for the first time. Returns why it will not be, empty if it is.

        A program that ended by itself before that has said what is wrong, and will say it again: that
        is a failure at once. One that was killed gets its next try.
        """
        if self._first is None:
            raise RuntimeError("begin() comes first")
        return await asyncio.shield(self._first)

    async def stop(self, seconds: float | None = None) -> None:
        """Let it finish its work and end; kill it after `seconds` (default: the program's own)."""
        if self.state == "gone":
            return
        self._enter("draining")
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._child:
            limit = self.program.stop_seconds if seconds is None else seconds
            if not await self._child.stop(self.program.stop_signal, limit):
                self._note(
                    "kill", f"killed: it had not ended {limit:g} s after it was told", "warn"
                )
        self.pid = None
        self._settle("it was stopped")
        self._enter("gone")

    def hold(self) -> None:
        """Do not start it again: the start of the whole stack has failed."""
        self._held = True

    def kill(self) -> None:
        """Kill it now; what waits in `stop` goes on."""
        if self._child:
            self._child.kill()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A keeper that ends otherwise than by `stop` has a fault; that must not stay unseen."""
        if not task.cancelled() and (error := task.exception()):
            self.problem = f"no longer kept running: {error!r}"
            self.state = "failed"
            self.event_log.record("fault", self.problem, component=self.program.name, level="error")
            self._settle(self.problem)

    async def _keep(self) -> None:
        while True:
            started = self.clock()
            problem = await self._run_once(started)
            refused = self.ready_at is None and (self._exit_code or 0) > 0
            delay = self.backoff.failed(self.clock() - started, at_once=not refused)
            again = f"next start in {delay:.1f} s" if delay else "starting it again"
            self.problem = f"{problem}; {again}"
            self._note("exit", self.problem, "warn")
            self._exit_code = None
            self._enter("failed")
            await self.pause(delay)
            if self._held:
                return
            self.restarts += 1

    async def _run_once(self, started: float) -> str:
        """Run it until it ends. Returns how it ended."""
        self.started_at, self.ready_at = time.time(), None
        try:
            self._child = Child.start(
                self.program.command, self.program.output, self.program.on_line
            )
        except OSError as error:
            problem = f"cannot be started: {error}"
            self._settle(problem)
            return problem
        self.pid = self._child.pid
        self._enter("starting")
        self._note("start", f"started as process {self.pid}")
        replaced = await self._watch(self._child, started)
        code = await self._child.wait()
        self.pid, self._exit_code = None, code
        if replaced:
            return replaced
        said = self.program.last_words()
        problem = exit_words(code)
        if code >= 0:
            self._settle(f"{problem}\n{said}".strip())
        return problem

    async def _watch(self, child: Child, started: float) -> str:
        """Follow its readiness while it runs. Returns why it was killed, empty if it ended by itself."""
        answered, misses = started, 0
        while not child.exited.done():
            problem = await self.probe(self.program.ready_url)
            if child.exited.done():
                break
            if not problem:
                answered, misses = self.clock(), 0
                self._answered(started)
            else:
                misses += 1
                silent = self.clock() - answered
                if self.state == "ready" and misses >= MISSES:
                    self.problem = problem
                    self._note("silent", f"no longer ready: {problem}", "warn")
                    self._enter("failed")
                if silent > self.program.start_seconds:
                    return await self._replace(child, problem, silent)
            poll = READY_POLL_SECONDS if self.state == "ready" else STARTING_POLL_SECONDS
            await asyncio.wait([child.exited], timeout=poll)
        return ""

    def _answered(self, started: float) -> None:
        if self.state == "ready":
            return
        self._enter("ready")
        self.problem = ""
        self.ready_at = self.ready_at or time.time()
        self._note("ready", f"ready {self.clock() - started:.1f} s after its start")
        self._settle("")

    async def _replace(self, child: Child, problem: str, silent: float) -> str:
        child.kill()
        await child.wait()
        text = f"replaced, as it was not ready for {silent:.0f} s: {problem}"
        said = self.program.last_words()
        self._settle(f"not ready within {silent:.0f} s: {problem}\n{said}".strip())
        return text

    def _enter(self, state: State) -> None:
        if state != self.state or state == "starting":
            self.state = state
            self.changed()

    def _settle(self, problem: str) -> None:
        if self._first and not self._first.done():
            self._first.set_result(problem)

    def _note(self, action: str, message: str, level: Literal["info", "warn"] = "info") -> None:
        process = {"pid": self.pid, "exit_code": self._exit_code}
        known = {name: value for name, value in process.items() if value is not None}
        self.event_log.record(
            action,
            message,
            component=self.program.name,
            level=level,
            fields={"process": known} if known else None,
        )
