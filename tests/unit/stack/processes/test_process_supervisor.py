"""The supervision of a real program: ready, dead, unready, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from support.ports import free_port
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe
from tidegate.stack.processes.port_owner import earlier_listener
from tidegate.stack.processes.process import Child
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program, State

Make = Callable[..., ProcessSupervisor]
FAILING = "import sys; print('what is wrong'); sys.exit(2)"
MUTE = "import time; time.sleep(60)"


@pytest.fixture
def make(server: Callable[..., Program], event_log: EventLog, probe: Probe) -> Make:
    """Supervises a program that serves HTTP; the options are those of both."""

    def made(name: str = "web", probe: Probe = probe, **options: Any) -> ProcessSupervisor:
        names = ("code", "before", "linger", "start_seconds", "stop_seconds")
        of_program = {one: options.pop(one) for one in names if one in options}
        program = server(name, free_port(), **of_program)
        return ProcessSupervisor(program, event_log, probe, **options)

    return made


@pytest.fixture
def frequent_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several failed probes, by default a second apart, make a program fail."""
    monkeypatch.setattr("tidegate.stack.processes.process_supervisor.READY_POLL_SECONDS", 0.02)


@asynccontextmanager
async def supervised(process: ProcessSupervisor) -> AsyncIterator[ProcessSupervisor]:
    process.start()
    try:
        yield process
    finally:
        await process.stop()
        assert process.state == "gone"
        assert process.pid is None


def actions(event_log: EventLog) -> list[str]:
    return [entry.action for entry in event_log.recent]


@pytest.fixture
def delays() -> list[float]:
    """How long the supervisor waited before each start."""
    return []


@pytest.fixture
def sleep(delays: list[float]) -> Callable[[float], Awaitable[None]]:
    """Waits in no time, but forever before the fifth start."""

    async def wait(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 5:
            await asyncio.Event().wait()

    return wait


async def test_the_answer_of_another_program_at_its_port_does_not_make_it_ready(
    server: Callable[..., Program], event_log: EventLog, probe: Probe
) -> None:
    port = free_port()
    first = ProcessSupervisor(server("first", port), event_log, probe)
    # It lives on without its port, as some servers do.
    second = ProcessSupervisor(server("second", port, code=MUTE), event_log, probe)
    async with supervised(first):
        assert await first.first_ready() == ""
        async with supervised(second):
            await eventually_async(lambda: bool(second.problem))
            assert second.state == "starting"
    (said,) = [entry.message for entry in event_log.recent if entry.action == "silent"]
    assert said.startswith("process ")
    assert said.endswith("answers at its port and was there before it")


def test_nobody_knows_who_answered_if_one_of_them_has_ended() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert earlier_listener("http://127.0.0.1:1/ready", gone.pid) is None


async def test_a_program_becomes_ready_and_exits_when_it_is_stopped(
    make: Make, event_log: EventLog, alive: Callable[[int], bool]
) -> None:
    seen: list[State] = []
    process: ProcessSupervisor = make(on_change=lambda: seen.append(process.state))
    async with supervised(process):
        assert await process.first_ready() == ""
        pid = process.pid
        assert pid
        assert alive(pid)
        assert (process.ready_at or 0) >= process.started_at
    assert not alive(pid)
    assert seen == ["starting", "ready", "draining", "gone"]
    assert actions(event_log) == ["start", "ready"]
    await process.stop()  # a second stop does nothing


ANNOUNCING = """
import os, socket, sys, threading
def announce():
    while True:
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1]))).close()
            break
        except OSError:
            pass
    with open(int(os.environ["SUPERVISOR_READY_FD"]), "w") as pipe:
        pipe.write({said!r})
threading.Thread(target=announce).start()
"""


@pytest.mark.parametrize(
    ("said", "phases"),
    [
        ('{"python": 0.01, "imports": 0.02}', ["python", "imports", "found"]),
        ("no JSON", ["found"]),
        ('{"python": "long"}', ["found"]),
    ],
)
async def test_a_program_that_says_that_it_is_ready_is_asked_at_once(
    said: str,
    phases: list[str],
    make: Make,
    event_log: EventLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "tidegate.stack.processes.process_supervisor"
    monkeypatch.setattr(f"{module}.STARTING_POLL_SECONDS", 3600.0)
    async with supervised(make(before=ANNOUNCING.format(said=said))) as process:
        assert await process.first_ready() == ""
        assert list(process.start_seconds) == phases
        whole = (process.ready_at or 0) - process.started_at
        assert sum(process.start_seconds.values()) == pytest.approx(whole, abs=0.01)
    assert "ready" in actions(event_log)


async def test_the_reason_of_a_failed_start_is_not_that_of_the_program_before_it(
    make: Make, sleep: Any
) -> None:
    process: ProcessSupervisor = make(before="raise SystemExit('no prices')", sleep=sleep)
    process.program.output.write_text("no stock\n")
    async with supervised(process):
        assert await process.first_ready() == "ended with exit code 1\nno prices"


async def test_a_killed_program_restarts_at_once_and_its_exit_is_logged(
    make: Make, event_log: EventLog, sleep: Any, delays: list[float]
) -> None:
    async with supervised(make("web", sleep=sleep)) as process:
        await process.first_ready()
        before = process.pid
        assert before
        os.kill(before, signal.SIGKILL)
        await eventually_async(
            lambda: process.state == "ready" and process.pid not in {None, before}
        )
        assert (process.restarts, delays) == (1, [0.0])
    exited = next(entry for entry in event_log.recent if entry.action == "exit")
    assert (exited.level, exited.message) == ("warn", "was killed by SIGKILL; restarting it")


async def test_a_crash_loop_backs_off(make: Make, sleep: Any, delays: list[float]) -> None:
    process = make("crash", code=FAILING, backoff=Backoff(random=lambda: 0.0), sleep=sleep)
    async with supervised(process):
        await eventually_async(lambda: len(delays) == 5)
        # A program that was never ready does not restart at once.
        assert delays == [0.5, 0.5, 1.0, 2.0, 4.0]
        assert (process.state, process.restarts) == ("failed", 4)
        assert process.problem == "ended with exit code 2 (what is wrong); next start in 4.0 s"


async def test_with_restarts_disabled_a_program_does_not_restart(
    make: Make, event_log: EventLog
) -> None:
    process = make("crash", code=FAILING)

    async def sleep(seconds: float) -> None:
        del seconds
        process.disable_restarts()

    process.sleep = sleep
    async with supervised(process):
        assert await process.first_ready() == "ended with exit code 2\nwhat is wrong"
    assert [entry.action for entry in event_log.recent].count("start") == 1


async def test_after_a_long_run_the_restart_delay_is_reset(
    make: Make, sleep: Any, delays: list[float]
) -> None:
    now, deaths = [0.0], 0
    process = make("web", clock=lambda: now[0], sleep=sleep)
    async with supervised(process):
        for minutes in (0, 0, 1):
            await eventually_async(lambda: process.state == "ready")
            now[0] += 60 * minutes
            died = process.pid
            assert died
            os.kill(died, signal.SIGKILL)
            deaths += 1
            await eventually_async(lambda: process.restarts == deaths)  # noqa: B023  awaited here
    assert [bool(delay) for delay in delays] == [False, True, False]


async def test_a_program_killed_before_readiness_is_restarted(make: Make, tmp_path: Path) -> None:
    before = """
import os, pathlib
if not pathlib.Path("tried").exists():
    pathlib.Path("tried").touch()
    os.kill(os.getpid(), 9)
"""
    async with supervised(make("web", before=before)) as process:
        assert await process.first_ready() == ""
        assert process.restarts == 1
    assert (tmp_path / "tried").exists()


async def test_a_program_that_does_not_become_ready_in_time_is_replaced(
    make: Make, event_log: EventLog
) -> None:
    # At the first probe after the start 21 s have passed; then the clock stands still.
    times = chain([0.0], repeat(21.0))
    mute = make("mute", code=MUTE, start_seconds=20, clock=lambda: next(times))
    async with supervised(mute) as process:
        problem = await process.first_ready()
        assert problem.startswith("not ready within 21 s (replicas.start_seconds is 20): ")
        await eventually_async(lambda: process.restarts > 0)
        assert any("replaced" in entry.message for entry in event_log.recent)


@pytest.mark.usefixtures("frequent_probes")
async def test_a_program_that_stops_answering_is_failed_until_it_recovers(
    make: Make, event_log: EventLog, tmp_path: Path
) -> None:
    async with supervised(make()) as process:
        await process.first_ready()
        pid = process.pid
        (tmp_path / "unready").touch()
        await eventually_async(lambda: process.state == "failed")
        assert "status 503" in process.problem
        (tmp_path / "unready").unlink()
        await eventually_async(lambda: process.state == "ready")
        assert (process.pid, process.restarts, process.problem) == (pid, 0, "")
    assert actions(event_log) == ["start", "ready", "silent", "ready"]


@pytest.mark.usefixtures("frequent_probes")
async def test_a_program_that_stays_unready_is_replaced(
    tmp_path: Path, make: Make, alive: Callable[[int], bool]
) -> None:
    unready, now = tmp_path / "unready", [0.0]
    async with supervised(make(start_seconds=20, clock=lambda: now[0])) as process:
        assert await process.first_ready() == ""
        pid = process.pid
        assert pid
        unready.touch()
        await eventually_async(lambda: process.state == "failed")
        now[0] = 20.1
        await eventually_async(lambda: not alive(pid))
        unready.unlink()
        await eventually_async(lambda: process.state == "ready" and process.pid != pid)


async def test_a_program_that_drains_too_long_is_killed_and_that_is_logged(
    make: Make, event_log: EventLog
) -> None:
    async with supervised(make(linger=60, stop_seconds=0.1)) as process:
        await process.first_ready()
    assert actions(event_log)[-1] == "kill"


async def test_a_missing_program_fails_with_its_path(make: Make) -> None:
    missing = make()
    object.__setattr__(missing.program.command, "argv", ("/no/such/program",))
    async with supervised(missing) as process:
        assert "/no/such/program" in await process.first_ready()
        await eventually_async(lambda: process.state == "failed")


async def test_a_draining_program_can_be_killed(make: Make) -> None:
    process = make("slow", linger=60, stop_seconds=60)
    async with supervised(process):
        await process.first_ready()
        stopping = asyncio.create_task(process.stop())
        await eventually_async(lambda: process.state == "draining")
        process.kill()
        await asyncio.wait_for(stopping, 10)


async def test_after_an_unexpected_error_the_supervision_begins_again(
    make: Make, event_log: EventLog, probe: Probe, alive: Callable[[int], bool]
) -> None:
    pids: list[int | None] = []

    async def broken_once(url: str) -> str:
        if not pids:
            pids.append(process.pid)
            raise ValueError(url)
        return await probe(url)

    process = make(probe=broken_once)
    async with supervised(process):
        assert "its supervision failed: ValueError" in await process.first_ready()
        assert event_log.faults == 1
        assert event_log.recent[-1].level == "error"
        await eventually_async(lambda: process.state == "ready")
        # The program of before, which was still running, is not left beside the new one.
        assert pids[0]
        assert not alive(pids[0])


async def test_a_start_that_waits_for_a_cpu_is_given_that_time(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, starved = [0.0], [0.0]
    probed: list[float] = []

    async def probe(_: str) -> str:
        probed.append(now[0])
        return "no answer"

    monkeypatch.setattr(Child, "cpu_wait_seconds", lambda _: starved[0])
    mute = make("mute", code=MUTE, start_seconds=20, clock=lambda: now[0], probe=probe)
    async with supervised(mute) as process:
        await eventually_async(lambda: bool(probed))
        now[0], starved[0] = 300.0, 290.0
        await eventually_async(lambda: probed.count(300.0) > 2)
        assert process.restarts == 0
        now[0] = 311.0
        assert (await process.first_ready()).startswith("not ready within 21 s")
