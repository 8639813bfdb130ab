"""Probes of components that are not trusted."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from support.ports import free_port
from tidegate.runtime.http_probe import MAX_BODY_BYTES, probe_session


@dataclass
class Hostile:
    """A server whose answers ask for more than a status."""

    url: str = ""
    followed: bool = False
    sent: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        packed = {"Content-Encoding": "gzip"}
        match request.path:
            case "/redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            case "/elsewhere":
                self.followed = True
            case "/packed":
                return web.Response(body=gzip.compress(b"z" * (4 * MAX_BODY_BYTES)), headers=packed)
            case "/endless" | "/stuck":
                stream = web.StreamResponse()
                await stream.prepare(request)
                while request.path == "/endless" and self.sent < 16 * MAX_BODY_BYTES:
                    await stream.write(b"z" * 65_536)
                    self.sent += 65_536
                if request.path == "/stuck":
                    await asyncio.Event().wait()
                return stream
        return web.Response(text=f"{request.path} 1\n")


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    made = Hostile()
    async with answering(made.answer) as made.url:
        yield made


async def test_a_redirect_is_not_followed(hostile: Hostile) -> None:
    url = f"{hostile.url}/redirect"
    async with probe_session() as (probe, fetch):
        assert await probe(url) == f"{url} responded with status 302"
        assert await fetch(url, 10) is None
    assert not hostile.followed


async def test_an_endless_response_is_read_up_to_the_limit(hostile: Hostile) -> None:
    url = f"{hostile.url}/endless"
    async with probe_session() as (probe, fetch):
        assert await probe(url) == ""
        assert await fetch(url, 60) is None
    assert hostile.sent < 8 * MAX_BODY_BYTES


async def test_a_component_is_ready_once_it_says_so(hostile: Hostile) -> None:
    async with probe_session() as (probe, _):
        assert await probe(f"{hostile.url}/stuck") == ""


@pytest.mark.parametrize(
    # The slash at the end of a path is sent; a compressed response is not decompressed.
    ("path", "text"),
    [("/good", "/good 1\n"), ("/slash/", "/slash/ 1\n"), ("/packed", None)],
)
async def test_a_response_within_the_limit_is_read(
    hostile: Hostile, path: str, text: str | None
) -> None:
    async with probe_session() as (probe, fetch):
        url = hostile.url + path
        assert (await probe(url), await fetch(url, 10)) == ("", text)


async def test_an_unreachable_component_is_reported_with_the_reason(hostile: Hostile) -> None:
    closed = f"http://127.0.0.1:{free_port()}/"
    async with probe_session() as (probe, _):
        assert "cannot be reached: connection refused" in await probe(closed)
        unknown = await probe("http://program.invalid/")
        assert unknown.endswith("cannot be reached: the host name cannot be resolved")
        https = await probe(f"{hostile.url}/good".replace("http:", "https:"))
        assert "cannot be reached: [SSL" in https
