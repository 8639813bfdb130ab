"""Both sides of a hand-over, over a real control socket."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.eventually import eventually_async
from tidegate.resizer.server import serve_unix
from tidegate.runtime.unix_sockets import unix_address, unix_listener
from tidegate.settings import load
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.processes.process import Command
from tidegate.stack.processes.process_supervisor import Program
from tidegate.stack.supervisor import takeover
from tidegate.stack.supervisor.status import PauseStatus, StackState, stack_status
from tidegate.stack.supervisor.takeover import Handover, open_predecessor

GATEWAY = Program(
    name="gateway",
    command=Command(("haproxy",), {}, Path()),
    output=Path(),
    ready_url="",
    address="",
    start_seconds=1,
    stop_seconds=1,
)
UPGRADE = (
    b"GET /successor HTTP/1.1\r\nHost: supervisor\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3VjY2Vzc29yIG9mIG9uZQ==\r\n\r\n"
)
PAUSE = b"\x81\x85\x00\x00\x00\x00pause"  # a frame of text
Holder = Callable[[Path], subprocess.Popen[str]]


class Running:
    """A stack that notes what is asked of it."""

    def __init__(self, state: StackState = "ready") -> None:
        self.state = state
        self.done: list[str] = []
        self.handover = Handover(
            lambda: stack_status(load(), [], [], state=self.state, **self.fields),
            self.note("pause"),
            self.note("resume"),
            self.note("finish"),
        )
        self.fields: dict[str, Any] = {"gateway": "", "prometheus": "", "desired": 2, "slots": 1}

    def note(self, word: str) -> Callable[[], asyncio.Future[None]]:
        def run() -> asyncio.Future[None]:
            self.done.append(word)
            done = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

        return run

    @asynccontextmanager
    async def served(self, layout: Layout) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get(takeover.PATH, self.handover.serve)
        async with serve_unix(app, layout.socket):
            yield


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.make()
    return layout


async def test_without_a_running_stack_there_is_no_predecessor(layout: Layout) -> None:
    async with open_predecessor(layout, load()) as found:
        assert found is None


async def test_what_was_paused_is_resumed_when_the_successor_goes(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    process = holder(layout.data)
    async with running.served(layout):
        async with open_predecessor(layout, load()) as found:
            assert found is not None
            assert found.pid == process.pid
            assert found.taking_over(GATEWAY).command.argv == (
                "haproxy",
                "-x",
                "../gateway/admin.sock",
            )
            assert found.successor_layout().gateway == layout.data / "gateway-next"
            await found.do("pause")
            assert running.done == ["pause"]
            with pytest.raises(StackRunningError, match="being replaced already"):
                async with open_predecessor(layout, load()):
                    pass
        await eventually_async(lambda: running.done == ["pause", "resume"])


@pytest.mark.parametrize(("sent", "done"), [(UPGRADE, []), (UPGRADE + PAUSE, ["pause", "resume"])])
async def test_a_successor_that_is_killed_before_it_reads_the_answer_leaves_a_whole_stack(
    layout: Layout, sent: bytes, done: list[str]
) -> None:
    running = Running()
    async with running.served(layout):
        with socket.socket(socket.AF_UNIX) as killed, unix_address(layout.socket) as address:
            killed.connect(address)
            killed.sendall(sent)
            await eventually_async(lambda: running.done == done[:1] and running.handover.successor)
        await eventually_async(lambda: running.handover.successor is None)
        assert running.done == done
        with socket.socket(socket.AF_UNIX) as killed, unix_address(layout.socket) as address:
            killed.connect(address)
            killed.sendall(sent)
        await eventually_async(lambda: running.handover.successor is None)
    assert running.done.count("pause") == running.done.count("resume")


async def test_what_the_predecessor_has_scaled_to_until_its_pause_counts(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    holder(layout.data)
    bounds = load(replicas={"min": 1, "start": 3, "max": 5}).replicas
    async with running.served(layout), open_predecessor(layout, load()) as found:
        assert found is not None
        running.fields["desired"] = 4
        assert found.desired(bounds) == 3
        await found.do("pause")
        assert found.desired(bounds) == 4
        # A number that a person holds is not raised.
        running.fields["desired"] = 2
        running.fields["pause"] = PauseStatus(until=time.time() + 60, min=None, max=None, words="")
        await found.do("end")
        assert found.desired(bounds) == 2
        await eventually_async(lambda: running.done == ["pause", "finish"])


async def test_a_stack_that_does_not_answer_is_not_replaced(
    layout: Layout, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "ANSWER_SECONDS", 0.1)
    holder(layout.data)
    with unix_listener(layout.socket), pytest.raises(StackRunningError, match="does not answer"):
        async with open_predecessor(layout, load()):
            pass


async def test_a_successor_that_asked_for_nothing_leaves_everything(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    holder(layout.data)
    async with running.served(layout):
        async with open_predecessor(layout, load()):
            pass
        await eventually_async(lambda: running.handover.successor is None)
    assert running.done == []


async def test_a_killed_predecessor_has_nothing_left_to_do(layout: Layout, holder: Holder) -> None:
    running = Running()
    process = holder(layout.data)
    async with running.served(layout), open_predecessor(layout, load()) as found:
        assert found is not None
        process.kill()
        process.wait()
        transport = running.handover.successor._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()
        await found.do("pause")
        assert found.taking_over(GATEWAY) is GATEWAY
    assert "pause" not in running.done


async def test_a_predecessor_that_stops_by_itself_is_not_replaced(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    holder(layout.data)
    async with running.served(layout), open_predecessor(layout, load()) as found:
        assert found is not None
        await running.handover.stop()
        with pytest.raises(StackRunningError, match="was stopped meanwhile"):
            await found.do("pause")


@pytest.mark.parametrize("state", ["starting", "stopping"])
async def test_a_stack_that_starts_or_stops_refuses(
    layout: Layout, holder: Holder, state: StackState
) -> None:
    holder(layout.data)
    async with Running(state).served(layout):
        with pytest.raises(StackRunningError, match="it starts, stops"):
            async with open_predecessor(layout, load()):
                pass


async def test_an_earlier_version_cannot_be_replaced_while_it_runs(
    layout: Layout, holder: Holder
) -> None:
    process = holder(layout.data)
    async with serve_unix(web.Application(), layout.socket):
        with pytest.raises(StackRunningError, match=rf"\(pid {process.pid}\) goes on: its version"):
            async with open_predecessor(layout, load()):
                pass
