"""Supervises one program: starts it, probes its readiness, restarts it after a failure."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.runtime.keep_running import keep_running
from tidegate.stack.processes.port_owner import earlier_listener
from tidegate.stack.processes.process import Child, Command, describe_exit

State = Literal["starting", "ready", "failed", "draining", "gone"]
STARTING_POLL_SECONDS: Final = 0.05
READY_POLL_SECONDS: Final = 1.0
# One failed probe may be a busy moment; three in a row are a failure.
MAX_FAILED_PROBES: Final = 3
PHASES: Final = TypeAdapter(dict[str, FiniteFloat])


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and how to supervise it.

    Attributes:
        name: unique in the stack.
        command: starts it.
        output: the file for its raw output.
        ready_url: answers 2xx when it is ready.
        address: the address in the status.
        start_seconds: the time limit for its first readiness, and for a later loss of readiness, without the
            time that it waited for a CPU.
        stop_seconds: how long it may take to stop before it is killed.
        stop_signal: requests a graceful stop.
        answers_first: whether it then still answers the requests that it has; else the signal waits.
        reader: the process that reads its standard output, instead of the file.
        recent_output: returns what it printed last, from a byte of `output` on, and logged, since a time in
            seconds since 1970, for an error message.
        start_setting: the setting of `start_seconds`, if there is one.
    """

    name: str
    command: Command
    output: Path
    ready_url: str
    address: str
    start_seconds: float
    stop_seconds: float
    stop_signal: signal.Signals = signal.SIGTERM
    answers_first: bool = True
    reader: Command | None = None
    recent_output: Callable[[int, float], str] = lambda _start, _since: ""
    start_setting: str = ""


@dataclass(slots=True)
class ProcessSupervisor:
    """The state machine of one program: starting → ready → draining → gone, and failed in between.

    `failed` is a program that exited and waits for its restart, or that no longer answers its probe.
    """

    program: Program
    event_log: EventLog
    probe: Probe
    on_change: Callable[[], None] = lambda: None
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    state: State = field(default="starting", init=False)
    restarts: int = field(default=0, init=False)
    pid: int | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    ready_at: float | None = field(default=None, init=False)
    problem: str = field(default="", init=False)
    start_seconds: dict[str, float] = field(default_factory=dict, init=False)
    _child: Child | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _first_ready: asyncio.Future[str] | None = field(default=None, init=False)
    _exit_code: int | None = field(default=None, init=False)
    _output_start: int = field(default=0, init=False)
    _restarts_disabled: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start the program, and restart it after each failure until `stop`."""
        self.started_at = time.time()
        self._first_ready = asyncio.get_running_loop().create_future()
        name = self.program.name
        self._task = asyncio.create_task(
            keep_running(name, self._run_with_restarts, self._on_fault), name=f"supervise {name}"
        )

    async def first_ready(self) -> str:
        """Wait until the program is ready for the first time. Returns why it failed, empty if it is ready.

        A program that exited by itself before that has printed what is wrong, and would print it again:
        that fails at once. One that was killed is restarted.
        """
        if self._first_ready is None:
            raise RuntimeError("first_ready() was called before start()")
        return await asyncio.shield(self._first_ready)

    async def drain(self) -> None:
        """Let it finish its requests: it is not ready, nor started again if it exits; `stop` follows."""
        if self.state != "gone":
            self._set_state("draining")
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def stop(self, seconds: float | None = None) -> None:
        """Stop it gracefully; kill it after `seconds` (default: the program's `stop_seconds`)."""
        if self.state == "gone":
            return
        await self.drain()
        if self._child:
            limit = self.program.stop_seconds if seconds is None else seconds
            if not await self._child.stop(self.program.stop_signal, limit):
                self._log("kill", f"killed: it did not stop within {limit:g} s", "warn")
        self.pid = None
        self._resolve_first_ready("it was stopped")
        self._set_state("gone")

    def disable_restarts(self) -> None:
        """Do not restart it: the start of the whole stack has failed."""
        self._restarts_disabled = True

    def kill(self) -> None:
        """Kill it now; a pending `stop` completes."""
        if self._child:
            self._child.kill()

    def _on_fault(self, name: str, error: Exception, wait_seconds: float) -> None:
        self.problem = f"its supervision failed: {error!r}; next start in {wait_seconds:.1f} s"
        self.state = "failed"
        self.event_log.fault(name, error, wait_seconds)
        self._resolve_first_ready(self.problem)

    async def _run_with_restarts(self) -> None:
        if self._child:  # after a failure of the supervision, which may have left it running
            self._child.kill()
            await self._child.wait()
        while True:
            started = self.clock()
            problem = await self._run_once(started)
            refused = self.ready_at is None and (self._exit_code or 0) > 0
            delay = self.backoff.failed(self.clock() - started, at_once=not refused)
            next_start = f"next start in {delay:.1f} s" if delay else "restarting it"
            self.problem = f"{problem}; {next_start}"
            self._log("exit", self.problem, "warn")
            self._exit_code = None
            self._set_state("failed")
            await self.sleep(delay)
            if self._restarts_disabled:
                return
            self.restarts += 1

    async def _run_once(self, started: float) -> str:
        """Run it until it exits. Returns how it ended."""
        self.started_at, self.ready_at, self.start_seconds = time.time(), None, {}
        file = self.program.output
        self._output_start = file.stat().st_size if file.exists() else 0
        try:
            self._child = Child.start(
                self.program.command, self.program.output, self.program.reader
            )
        except OSError as error:
            problem = f"cannot be started: {error}"
            self._resolve_first_ready(problem)
            return problem
        self.pid = self._child.pid
        self._set_state("starting")
        self._log("start", f"started as process {self.pid}")
        kill_reason = await self._watch(self._child, started)
        code = await self._child.wait()
        self.pid, self._exit_code = None, code
        if kill_reason:
            return kill_reason
        output = self._recent_output()
        problem = describe_exit(code)
        if code >= 0:
            self._resolve_first_ready(f"{problem}\n{output}".strip())
        if code > 0 and output:
            problem += f" ({output.splitlines()[-1]})"
        return problem

    async def _watch(self, child: Child, started: float) -> str:
        """Probe it while it runs. Returns why it was killed, empty if it exited by itself."""
        last_success, failed_probes = started, 0
        waited = child.cpu_wait_seconds()
        while not child.exited.done():
            problem = await self.probe(self.program.ready_url) or await self._port_problem(child)
            if child.exited.done():
                break
            if not problem:
                last_success, failed_probes = self.clock(), 0
                waited = child.cpu_wait_seconds()
                self._mark_ready(started)
            else:
                failed_probes += 1
                # On a starved machine a start takes as long as it has no CPU: that is no hang.
                starved = child.cpu_wait_seconds() - waited
                unready_seconds = self.clock() - last_success - starved
                if self.state == "ready" and failed_probes >= MAX_FAILED_PROBES:
                    self.problem = problem
                    self._log("silent", f"no longer ready: {problem}", "warn")
                    self._set_state("failed")
                if unready_seconds > self.program.start_seconds:
                    return await self._kill_unready(child, problem, unready_seconds)
            poll = READY_POLL_SECONDS if self.state == "ready" else STARTING_POLL_SECONDS
            # A program that says when it is ready is asked at once.
            news = [one for one in (child.exited, child.announced) if not one.done()]
            await asyncio.wait(news, timeout=poll, return_when=asyncio.FIRST_COMPLETED)
        return ""

    async def _port_problem(self, child: Child) -> str:
        """Why the answer is another program's; empty if it is this one's. Asked until it is ready."""
        if self.state == "ready":
            return ""
        owner = await asyncio.to_thread(earlier_listener, self.program.ready_url, child.pid)
        if owner is None:
            return "a process at its port has just ended"
        problem = f"{owner} answers at its port and was there before it" if owner else ""
        if problem not in {"", self.problem}:
            self.problem = problem
            self._log("silent", problem, "warn")
        return problem

    def _mark_ready(self, started: float) -> None:
        if self.state == "ready":
            return
        self.ready_at = self.ready_at or time.time()
        self._set_state("ready")
        self.problem = ""
        first = {} if self.start_seconds else self._phases()
        self.start_seconds |= first
        text = f"ready {self.clock() - started:.2f} s after its start"
        self._log("ready", text, start_seconds=first)
        self._resolve_first_ready("")

    def _phases(self) -> dict[str, float]:
        """The seconds of each phase of the start: what the program said, and until it was found ready."""
        said: dict[str, float] = {}
        if self._child and self._child.announced.done():
            with suppress(ValidationError):
                said = PHASES.validate_json(self._child.announced.result())
        whole = (self.ready_at or 0.0) - self.started_at
        return {**said, "found": round(whole - sum(said.values()), 3)}

    async def _kill_unready(self, child: Child, problem: str, unready_seconds: float) -> str:
        child.kill()
        await child.wait()
        output, setting = self._recent_output(), self.program.start_setting
        limit = f" ({setting} is {self.program.start_seconds:g})" if setting else ""
        self._resolve_first_ready(
            f"not ready within {unready_seconds:.0f} s{limit}: {problem}\n{output}".strip()
        )
        return f"replaced, as it was not ready for {unready_seconds:.0f} s: {problem}"

    def _recent_output(self) -> str:
        return self.program.recent_output(self._output_start, self.started_at)

    def _set_state(self, state: State) -> None:
        if state != self.state or state == "starting":
            self.state = state
            self.on_change()

    def _resolve_first_ready(self, problem: str) -> None:
        if self._first_ready and not self._first_ready.done():
            self._first_ready.set_result(problem)

    def _log(
        self,
        action: str,
        message: str,
        level: Literal["info", "warn"] = "info",
        **own: dict[str, float],
    ) -> None:
        process = {"pid": self.pid, "exit_code": self._exit_code}
        fields = {
            "process": {name: value for name, value in process.items() if value is not None},
            "tidegate": {"component": self.program.name, **own},
        }
        self.event_log.record(
            action,
            message,
            component=self.program.name,
            level=level,
            fields={name: value for name, value in fields.items() if value},
        )
