"""Live updates: one read per interval for all tabs, and none without a tab."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.console.live import Poll, Polls

INTERVAL = 0.01


class Source:
    def __init__(self) -> None:
        self.reads = 0
        self.faults: list[Exception] = []

    async def read(self) -> Mapping[str, Any]:
        self.reads += 1
        if self.reads == 2:
            raise ValueError("unexpected")
        return {"read": self.reads}

    def fault(self, name: str, error: Exception, wait: float) -> None:
        assert name == "page"
        self.faults.append(error)

    def poll(self, seconds: float = INTERVAL) -> Poll:
        return Poll("page", self.read, seconds, self.fault)


def frames(poll: Poll) -> AsyncGenerator[bytes]:
    return cast("AsyncGenerator[bytes]", poll.frames())


async def test_all_tabs_share_one_read_and_none_reads_after_the_last_tab() -> None:
    source = Source()
    poll = source.poll(seconds=60)
    async with aclosing(frames(poll)) as first, aclosing(frames(poll)) as second:
        for tab in (first, second):
            assert (await anext(tab)).startswith(b"retry: ")
            assert await anext(tab) == b'data: {"read":1}\n\n'
    assert source.reads == 1
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "page"]


async def test_a_read_that_raises_ends_no_stream_and_every_tab_says_so() -> None:
    source = Source()
    async with asyncio.timeout(30), aclosing(frames(source.poll())) as tab:
        _, first, problem, third = [await anext(tab) for _ in range(4)]
    assert (first, third) == (b'data: {"read":1}\n\n', b'data: {"read":3}\n\n')
    assert b'"source":"Console"' in problem
    assert b"unexpected" in problem
    assert [str(error) for error in source.faults] == ["unexpected"]


async def test_a_closed_poll_ends_its_streams() -> None:
    poll = Source().poll(seconds=60)
    tab = frames(poll)
    for _ in range(2):
        await anext(tab)
    ending = asyncio.create_task(anext(tab, b"end"))
    await asyncio.sleep(0)
    poll.close()
    assert await asyncio.wait_for(ending, 30) == b"end"


async def test_a_poll_that_no_tab_follows_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.console.live.BEGIN_SECONDS", -1.0)
    source = Source()
    polls = Polls(source.fault)
    first = polls.poll("first", source.read, 60)
    async with aclosing(frames(first)) as tab:
        await anext(tab)
        other = polls.poll("other", source.read, 60)
        left = frames(other)
        await anext(left)
        await left.aclose()
        polls.poll("third", source.read, 60)
        assert polls.poll("first", source.read, 60) is first
        assert polls.poll("other", source.read, 60) is not other
    polls.close()


async def test_a_poll_whose_stream_has_not_begun_is_kept() -> None:
    source = Source()
    polls = Polls(source.fault)
    asked = polls.poll("page", source.read, 60)
    polls.poll("other", source.read, 60)
    assert polls.poll("page", source.read, 60) is asked


async def test_a_poll_that_no_tab_ever_followed_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.console.live.BEGIN_SECONDS", -1.0)
    source = Source()
    polls = Polls(source.fault)
    asked = polls.poll("page", source.read, 60)
    polls.poll("other", source.read, 60)
    assert polls.poll("page", source.read, 60) is not asked


async def test_head_of_a_stream_reads_nothing() -> None:
    source = Source()

    async def live(request: Request) -> Response:
        del request
        return source.poll().response()

    transport = httpx.ASGITransport(Starlette(routes=[Route("/live", live)]))
    async with asyncio.timeout(30), httpx.AsyncClient(transport=transport) as client:
        answer = await client.head("http://127.0.0.1/live")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert source.reads == 0
