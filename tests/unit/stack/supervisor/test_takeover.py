"""Both sides of a hand-over, over a real control socket."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.eventually import eventually_async
from tidegate.resizer.server import serve_unix
from tidegate.settings import load
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.supervisor import takeover
from tidegate.stack.supervisor.status import StackState, stack_status
from tidegate.stack.supervisor.takeover import Handover, open_predecessor

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
            self.note("accept no more"),
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
    async with open_predecessor(layout) as found:
        assert found is None


async def test_what_was_paused_is_resumed_when_the_successor_goes(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    process = holder(layout.data)
    async with running.served(layout):
        async with open_predecessor(layout) as found:
            assert found is not None
            assert (found.pid, found.gateway) == (process.pid, "gateway")
            assert found.successor_layout().gateway == layout.data / "gateway-next"
            await found.do("pause", 5)
            assert running.done == ["pause"]
            with pytest.raises(StackRunningError, match="being replaced already"):
                async with open_predecessor(layout):
                    pass
        await eventually_async(lambda: running.done == ["pause", "resume"])


async def test_a_successor_that_asked_for_nothing_leaves_everything(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    holder(layout.data)
    async with running.served(layout):
        async with open_predecessor(layout):
            pass
        await eventually_async(lambda: running.handover.successor is None)
    assert running.done == []


async def test_a_killed_predecessor_has_nothing_left_to_do(layout: Layout, holder: Holder) -> None:
    running = Running()
    process = holder(layout.data)
    async with running.served(layout), open_predecessor(layout) as found:
        assert found is not None
        process.kill()
        process.wait()
        transport = running.handover.successor._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()
        await found.do("pause", 5)
        assert found.gateway == ""
    assert "pause" not in running.done


async def test_a_predecessor_that_stops_by_itself_is_not_replaced(
    layout: Layout, holder: Holder
) -> None:
    running = Running()
    holder(layout.data)
    async with running.served(layout), open_predecessor(layout) as found:
        assert found is not None
        await running.handover.stop()
        with pytest.raises(StackRunningError, match="was stopped meanwhile"):
            await found.do("pause", 5)


@pytest.mark.parametrize("state", ["starting", "stopping"])
async def test_a_stack_that_starts_or_stops_refuses(
    layout: Layout, holder: Holder, state: StackState
) -> None:
    holder(layout.data)
    async with Running(state).served(layout):
        with pytest.raises(StackRunningError, match="it starts, stops"):
            async with open_predecessor(layout):
                pass


async def test_an_earlier_version_cannot_be_replaced_while_it_runs(
    layout: Layout, holder: Holder
) -> None:
    process = holder(layout.data)
    async with serve_unix(web.Application(), layout.socket):
        with pytest.raises(StackRunningError, match=rf"\(pid {process.pid}\) goes on: its version"):
            async with open_predecessor(layout):
                pass
