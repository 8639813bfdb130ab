"""Probes of components that are not trusted."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.ports import free_port
from tidegate.runtime.http_probe import MAX_BODY_BYTES, probe_session


class Hostile:
    """A server whose answers ask for more than a status."""

    def __init__(self) -> None:
        self.followed = False
        self.sent = 0
        app = web.Application()
        app.router.add_get("/redirect", self._redirect)
        app.router.add_get("/elsewhere", self._elsewhere)
        app.router.add_get("/endless", self._endless)
        app.router.add_get("/packed", self._packed)
        app.router.add_get("/good", self._good)
        app.router.add_get("/slash/", self._good)
        app.router.add_get("/stuck", self._stuck)
        self.server = TestServer(app)

    async def _redirect(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async def _elsewhere(self, _: web.Request) -> web.Response:
        self.followed = True
        return web.Response(text="secret")

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while self.sent < 16 * MAX_BODY_BYTES:
            await answer.write(b"z" * 65_536)
            self.sent += 65_536
        return answer

    async def _stuck(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await asyncio.Event().wait()
        return answer

    async def _packed(self, _: web.Request) -> web.Response:
        body = gzip.compress(b"z" * (4 * MAX_BODY_BYTES))
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    async def _good(self, _: web.Request) -> web.Response:
        return web.Response(text="tidegate_slots_busy 1\n")


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    made = Hostile()
    async with made.server:
        yield made


async def test_a_redirect_is_not_followed(hostile: Hostile) -> None:
    url = str(hostile.server.make_url("/redirect"))
    async with probe_session() as (probe, fetch):
        assert await probe(url) == f"{url} responded with status 302"
        assert await fetch(url, 10) is None
    assert not hostile.followed


async def test_an_endless_response_is_read_up_to_the_limit(hostile: Hostile) -> None:
    url = str(hostile.server.make_url("/endless"))
    async with probe_session() as (probe, fetch):
        assert await probe(url) == ""
        assert await fetch(url, 60) is None
    assert hostile.sent < 8 * MAX_BODY_BYTES


async def test_a_component_is_ready_once_it_says_so(hostile: Hostile) -> None:
    async with probe_session() as (probe, _):
        assert await probe(str(hostile.server.make_url("/stuck"))) == ""


async def test_the_slash_at_the_end_of_a_path_is_sent(hostile: Hostile) -> None:
    url = str(hostile.server.make_url("/slash/"))
    async with probe_session() as (probe, fetch):
        assert (await probe(url), await fetch(url, 10)) == ("", "tidegate_slots_busy 1\n")


async def test_a_compressed_response_is_not_decompressed(hostile: Hostile) -> None:
    async with probe_session() as (_, fetch):
        assert await fetch(str(hostile.server.make_url("/packed")), 10) is None


async def test_a_response_within_the_limit_is_read(hostile: Hostile) -> None:
    async with probe_session() as (probe, fetch):
        url = str(hostile.server.make_url("/good"))
        assert (await probe(url), await fetch(url, 10)) == ("", "tidegate_slots_busy 1\n")


async def test_an_unreachable_component_is_reported_with_the_reason(hostile: Hostile) -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    async with probe_session() as (probe, _):
        assert "cannot be reached: connection refused" in await probe(closed)
        unknown = await probe("http://program.invalid/")
        assert unknown.endswith("cannot be reached: the host name cannot be resolved")
        https = await probe(str(hostile.server.make_url("/good").with_scheme("https")))
        assert "cannot be reached: [SSL" in https
