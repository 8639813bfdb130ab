"""HTTP servers that respond as the components do, and a target that uses them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from support.doubles.http_doubles import Answers, Serve
from tidegate.checks.running.target import Target
from tidegate.settings import Settings


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server with these responses; with a login it responds to any other with 401."""
    servers = AsyncExitStack()

    async def start(answers: Answers, login: str = "") -> str:
        async def handle(request: web.Request) -> web.Response:
            if login and request.headers.get("Authorization") != login:
                return web.json_response({"message": "Unauthorized"}, status=401)
            found = answers.get(f"{request.method} {request.path}")
            if found is None:
                return web.json_response({"message": "Not Found"}, status=404)
            body = await request.read()
            status, value = found(json.loads(body) if body else None) if callable(found) else found
            if isinstance(value, bytes):
                return web.Response(body=value, status=status)
            return web.json_response(value, status=status)

        return await servers.enter_async_context(answering(handle))

    async with servers:
        yield start


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def target(session: aiohttp.ClientSession) -> Callable[..., Target]:
    """A target as under Compose, with these settings (a dict for each section)."""

    def make(prometheus: str = "", **sections: Any) -> Target:
        return Target(Settings(**sections), session, "http://127.0.0.1:9", prometheus, None)

    return make
