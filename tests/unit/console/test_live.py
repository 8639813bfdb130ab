"""Live updates: one read per interval for all tabs, and none without a tab."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jinja2 import DictLoader, Environment
from starlette.requests import Request

from tidegate.console.live import MAX_HELD, Live
from tidegate.console.site import Page, Site
from tidegate.settings import Settings

INTERVAL = 0.01


class Source:
    """A page that fails at its second read, and what is reported of it."""

    def __init__(self) -> None:
        self.reads = 0
        self.fails = {2}
        self.faults: list[Exception] = []
        self.live = Live(self.fault)

    async def read(self) -> Mapping[str, Any]:
        self.reads += 1
        if self.reads in self.fails:
            raise ValueError("unexpected")
        return {"read": self.reads}

    def fault(self, name: str, error: Exception, wait: float) -> None:
        assert name == "page"
        self.faults.append(error)

    def tab(self, seconds: float = INTERVAL) -> AsyncGenerator[bytes]:
        return cast("AsyncGenerator[bytes]", self.live.frames("page", self.read, seconds, dict))


def page_of(source: Source) -> Callable[[str], Awaitable[dict[str, Any]]]:
    async def read(_: str) -> dict[str, Any]:
        return {**await source.read(), "problems": {}, "chart": None}

    return read


async def test_all_tabs_share_one_read_and_none_reads_after_the_last_tab() -> None:
    source = Source()
    async with aclosing(source.tab(seconds=60)) as first, aclosing(source.tab(60)) as second:
        for tab in (first, second):
            assert (await anext(tab)).startswith(b"retry: ")
            assert await anext(tab) == b'data: {"read":1}\n\n'
    assert source.reads == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_update_is_rendered_once_for_all_tabs_and_not_on_the_event_loop() -> None:
    source, rendered = Source(), list[int]()

    def update(value: Mapping[str, Any]) -> Mapping[str, Any]:
        rendered.append(threading.get_ident())
        return value

    tabs = [source.live.frames("page", source.read, 60, update) for _ in range(3)]
    for _ in range(2):  # the time after which a browser connects again, then the page
        await asyncio.gather(*(anext(tab) for tab in tabs))
    assert len(rendered) == 1
    assert threading.get_ident() not in rendered
    source.live.close()


async def test_of_what_was_read_the_newest_results_are_held() -> None:
    source = Source()
    source.fails = set()
    for key in range(MAX_HELD + 2):
        await source.live.get(key, 60, source.read)
    await source.live.get(MAX_HELD + 1, 60, source.read)
    assert source.reads == MAX_HELD + 2
    await source.live.get(0, 60, source.read)
    assert source.reads == MAX_HELD + 3


async def test_who_asks_while_something_is_read_waits_for_the_same() -> None:
    source, go = Source(), asyncio.Event()

    async def slow() -> Mapping[str, Any]:
        await go.wait()
        return await source.read()

    asking = [asyncio.create_task(source.live.get("key", 0.0, slow)) for _ in range(3)]
    await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*asking) == [{"read": 1}] * 3


async def test_a_read_that_raises_ends_no_stream_and_every_tab_says_so() -> None:
    source = Source()
    async with asyncio.timeout(30), aclosing(source.tab()) as tab:
        _, first, problem, third = [await anext(tab) for _ in range(4)]
    assert (first, third) == (b'data: {"read":1}\n\n', b'data: {"read":3}\n\n')
    assert b'"Console":"' in problem
    assert b"unexpected" in problem
    assert [str(error) for error in source.faults] == ["unexpected"]


async def test_the_same_fault_is_reported_once_until_a_read_succeeds() -> None:
    source = Source()
    source.fails = {1, 2, 3, 5}
    async with asyncio.timeout(30), aclosing(source.tab()) as tab:
        while source.reads < 6:
            await anext(tab)
    assert len(source.faults) == 2


async def test_what_is_no_json_is_a_fault_and_ends_no_stream() -> None:
    source = Source()
    source.fails = set()
    odd = source.live.frames("page", source.read, INTERVAL, lambda _: {1: 2})  # type: ignore[dict-item]
    async with asyncio.timeout(30), aclosing(cast("AsyncGenerator[bytes]", odd)) as tab:
        _, *problems = [await anext(tab) for _ in range(3)]
    assert all(b'"Console":"' in one for one in problems)
    assert [type(error) for error in source.faults] == [TypeError]


async def test_a_fault_of_what_nobody_asks_for_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.console.live.HELD_SECONDS", -1.0)
    source = Source()
    source.fails = {1, 4}
    for _ in range(2):
        async with aclosing(source.tab()) as tab:
            for _ in range(2):
                await anext(tab)
        for key in ("other", "another"):
            await source.live.get(key, 0.0, source.read)
    assert len(source.faults) == 2


async def test_an_update_is_not_older_than_the_page_that_a_tab_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, now = Source(), [0.0]
    source.fails = set()
    monkeypatch.setattr("tidegate.console.live.time", SimpleNamespace(monotonic=lambda: now[0]))
    templates = Environment(loader=DictLoader({"page.html.j2": "{{ read }}"}))
    sources = SimpleNamespace(settings=Settings())
    site = Site(cast("Any", sources), source.live, cast("Any", None), (), templates)
    show, live = site.live_page(
        Page("page", "/", "Page"), lambda _: "", page_of(source), seconds=60.0
    )
    request = Request({"type": "http", "method": "GET", "headers": [], "query_string": b""})

    async def tab() -> AsyncGenerator[bytes]:
        answer = await live.endpoint(request)
        return cast("AsyncGenerator[bytes]", answer.body_iterator)

    async with aclosing(await tab()) as other:
        assert b'"page":"1"' in [await anext(other) for _ in range(2)][1]
        now[0] = 40.0
        assert (await show.endpoint(request)).body == b"2"
        async with aclosing(await tab()) as opened:
            assert b'"page":"2"' in [await anext(opened) for _ in range(2)][1]


async def test_an_exception_is_not_held() -> None:
    source = Source()
    source.fails = {1}
    with pytest.raises(ValueError, match="unexpected"):
        await source.live.get("key", 60.0, source.read)
    assert await source.live.get("key", 60.0, source.read) == {"read": 2}


async def test_the_end_ends_every_stream() -> None:
    source = Source()
    tab = source.tab(seconds=60)
    for _ in range(2):
        await anext(tab)
    ending = asyncio.create_task(anext(tab, b"end"))
    await asyncio.sleep(0)
    source.live.close()
    assert await asyncio.wait_for(ending, 30) == b"end"


async def test_what_nobody_asks_for_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.console.live.HELD_SECONDS", -1.0)
    source = Source()
    source.fails = set()
    for key in ("first", "other", "first"):
        await source.live.get(key, 60.0, source.read)
    assert source.reads == 3
