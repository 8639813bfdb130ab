"""The calls, on an HTTP server that answers as an engine may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tidegate.resizer.compose.engine import (
    Engine,
    EngineError,
    EngineGoneError,
    EngineTooOldError,
    open_engine,
)
from tidegate.runtime.unix_sockets import unix_address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[Engine]]


def answers(found: dict[str, Any]) -> Handler:
    """An engine that knows these paths."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path not in found:
            return web.json_response({"message": f"no {request.path}"}, status=404)
        return web.json_response(found[request.path])

    return handle


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves a handler on a Unix socket; returns an engine that asks it."""
    async with AsyncExitStack() as stack:

        async def start(handler: Handler) -> Engine:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            socket = tmp_path / ("a-long-name" * 9) / "docker.sock"
            socket.parent.mkdir()
            with unix_address(socket) as address:
                await web.UnixSite(runner, address).start()
            return await stack.enter_async_context(open_engine(socket))

        yield start


@pytest.mark.parametrize("version", ["1.40", "1.4", "0.9"])
async def test_an_engine_that_is_too_old_is_named(serve: Serve, version: str) -> None:
    engine = await serve(answers({"/version": {"ApiVersion": version, "Version": "19.03"}}))
    with pytest.raises(
        EngineTooOldError, match=rf"Docker 19.03 speaks version {version} .* Docker 20.10"
    ):
        await engine.choose_version()


async def test_it_speaks_the_engines_own_version(serve: Serve) -> None:
    engine = await serve(
        answers({"/version": {"ApiVersion": "1.52"}, "/v1.52/containers/a/json": {"Id": "a"}})
    )
    await engine.choose_version()
    assert await engine.inspect("a") == {"Id": "a"}


async def test_one_that_goes_between_list_and_inspect_is_left_out(serve: Serve) -> None:
    listed = [
        {"Id": name, "Labels": {"com.docker.compose.container-number": number}}
        for name, number in (("a", "1"), ("b", "2"), ("c", "3"))
    ]
    engine = await serve(answers({"/containers/json": listed, "/containers/a/json": {"Id": "a"}}))
    assert await engine.replicas("shop", "model", {3}) == [{"Id": "a"}]


async def test_only_containers_of_project_and_service_are_asked_for(serve: Serve) -> None:
    queries = []

    async def handle(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        return web.json_response([])

    engine = await serve(handle)
    assert await engine.replicas("shop", "model") == []
    with pytest.raises(EngineGoneError):  # a list is no event
        await _read_events(engine)
    labels = [
        "com.docker.compose.project=shop",
        "com.docker.compose.service=model",
        "com.docker.compose.oneoff=False",
    ]
    assert [json.loads(one["filters"])["label"] for one in queries] == [labels, labels]
    assert json.loads(queries[1]["filters"])["type"] == ["container"]


async def _read_events(engine: Engine) -> list[Any]:
    return [event async for event in engine.events("shop", "model")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"message": "no memory"}', "no memory"),
        (b"it broke\n", "it broke"),
        (b"", "no reason given"),
        (b"[]", r"\[\]"),
    ],
)
async def test_a_refusal_has_its_status_and_its_reason(
    serve: Serve, body: bytes, reason: str
) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, body=body)

    engine = await serve(handle)
    for call in (
        engine.replicas("shop", "model"),
        engine.inspect("a"),
        engine.image_id("shop:1"),
        engine.stop("a", 1.4),
    ):
        with pytest.raises(EngineError, match=f"^{reason}$") as refused:
            await call
        assert refused.value.status == 500
    with pytest.raises(EngineError, match=f"^{reason}$"):
        await _read_events(engine)


async def test_a_failure_behind_the_list_is_not_taken_for_absence(serve: Serve) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/containers/json":
            return web.json_response([{"Id": "a", "Labels": {}}])
        return web.json_response({"message": "no disk"}, status=500)

    engine = await serve(handle)
    with pytest.raises(EngineError, match="no disk"):
        await engine.replicas("shop", "model")


async def test_an_image_that_is_not_there_is_none(serve: Serve) -> None:
    engine = await serve(answers({"/images/shop:1/json": {"Id": "sha256:1"}}))
    assert await engine.image_id("shop:1") == "sha256:1"
    assert await engine.image_id("shop:2") is None


@pytest.mark.parametrize("body", [b"no JSON", b"[1]"])
async def test_what_is_no_answer_of_an_engine_is_no_engine(serve: Serve, body: bytes) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    engine = await serve(handle)
    with pytest.raises(EngineGoneError):
        await engine.inspect("a")


async def test_a_slow_engine_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.engine.STOP_EXTRA_SECONDS", 0.0)
    came = []

    async def handle(request: web.Request) -> web.StreamResponse:
        came.append(request.query["t"])
        await asyncio.sleep(30.0)  # the server's end cancels it
        return web.Response()

    engine = await serve(handle)
    with pytest.raises(EngineGoneError, match=r"no answer to POST /containers/a/stop within 1.6 s"):
        await engine.stop("a", 1.6)
    assert came == ["2"]


async def test_no_engine_is_said_so(tmp_path: Path) -> None:
    async with open_engine(tmp_path / "docker.sock") as engine:
        with pytest.raises(EngineGoneError, match="cannot be reached"):
            await engine.choose_version()
        with pytest.raises(EngineGoneError, match="events cannot be read"):
            await _read_events(engine)
