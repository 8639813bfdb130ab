"""The calls of the engine, against an HTTP server in its place."""

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
    EngineTooOldError,
    EngineUnavailableError,
    open_engine,
)
from tidegate.runtime.unix_sockets import unix_address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[Engine]]


def answers(found: dict[str, Any]) -> Handler:
    """A handler that responds to these paths."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path not in found:
            return web.json_response({"message": f"no {request.path}"}, status=404)
        return web.json_response(found[request.path])

    return handle


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves a handler, or the same response each time, on a Unix socket; returns a client of it."""
    async with AsyncExitStack() as stack:

        async def start(
            handler: Handler | None = None, body: bytes = b"", status: int = 200
        ) -> Engine:
            async def respond(_: web.Request) -> web.StreamResponse:
                return web.Response(status=status, body=body)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler or respond)
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
async def test_an_engine_that_is_too_old_is_refused(serve: Serve, version: str) -> None:
    engine = await serve(answers({"/version": {"ApiVersion": version, "Version": "19.03"}}))
    said = rf"Docker 19.03 supports API version {version}; .*Docker 20.10"
    with pytest.raises(EngineTooOldError, match=said):
        await engine.choose_version()


async def test_the_version_of_the_engine_is_used(serve: Serve) -> None:
    engine = await serve(
        answers({"/version": {"ApiVersion": "1.52"}, "/v1.52/containers/a/json": {"Id": "a"}})
    )
    await engine.choose_version()
    assert await engine.inspect("a") == {"Id": "a"}


async def test_a_container_that_is_removed_meanwhile_is_left_out(serve: Serve) -> None:
    listed = [
        {"Id": name, "Labels": {"com.docker.compose.container-number": number}}
        for name, number in (("a", "1"), ("b", "2"), ("c", "3"))
    ]
    engine = await serve(answers({"/containers/json": listed, "/containers/a/json": {"Id": "a"}}))
    assert await engine.replicas("shop", "model", {3}) == [{"Id": "a"}]


async def test_only_containers_of_the_project_and_the_service_are_listed(serve: Serve) -> None:
    queries = []

    async def handle(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        return web.json_response([])

    engine = await serve(handle)
    assert await engine.replicas("shop", "model") == []
    with pytest.raises(EngineUnavailableError):  # a list is not an event
        await _read_events(engine)
    labels = [
        "com.docker.compose.project=shop",
        "com.docker.compose.service=model",
        "com.docker.compose.oneoff=False",
    ]
    assert [json.loads(one["filters"])["label"] for one in queries] == [labels, labels]
    assert json.loads(queries[1]["filters"])["type"] == ["container"]


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (lambda to: to.create("m-1", {"a": 1}), 'POST /containers/create?name=m-1 {"a": 1}'),
        (
            lambda to: to.connect("net", "c", {"a": 1}),
            'POST /networks/net/connect {"Container": "c", "EndpointConfig": {"a": 1}}',
        ),
        (lambda to: to.start("c"), "POST /containers/c/start "),
        (lambda to: to.update("c", {"a": 1}), 'POST /containers/c/update {"a": 1}'),
        (lambda to: to.stop("c", 7.4), "POST /containers/c/stop?t=7 "),
        (lambda to: to.remove("c"), "DELETE /containers/c?v=1 "),
    ],
)
async def test_each_change_is_one_call_of_the_engine(
    serve: Serve, call: Callable[[Engine], Awaitable[object]], sent: str
) -> None:
    calls = []

    async def handle(request: web.Request) -> web.StreamResponse:
        calls.append(f"{request.method} {request.path_qs} {await request.text()}")
        return web.json_response({"Id": "c"})

    await call(await serve(handle))
    assert calls == [sent]


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
async def test_an_engine_error_has_the_status_and_the_reason(
    serve: Serve, body: bytes, reason: str
) -> None:
    engine = await serve(body=body, status=500)
    for call in (
        engine.replicas("shop", "model"),
        engine.inspect("a"),
        engine.image_id("shop:1"),
        engine.stop("a", 1.4),
        _read_events(engine),
    ):
        with pytest.raises(EngineError, match=f"^{reason}$") as refused:
            await call
        assert refused.value.status == 500


async def test_an_error_of_inspect_does_not_mean_that_a_container_was_removed(serve: Serve) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/containers/json":
            return web.json_response([{"Id": "a", "Labels": {}}])
        return web.json_response({"message": "no disk"}, status=500)

    engine = await serve(handle)
    with pytest.raises(EngineError, match="no disk"):
        await engine.replicas("shop", "model")


async def test_the_id_of_a_missing_image_is_none(serve: Serve) -> None:
    engine = await serve(answers({"/images/shop:1/json": {"Id": "sha256:1"}}))
    assert await engine.image_id("shop:1") == "sha256:1"
    assert await engine.image_id("shop:2") is None


@pytest.mark.parametrize("body", [b"no JSON", b"[1]"])
async def test_an_invalid_response_means_an_unavailable_engine(serve: Serve, body: bytes) -> None:
    engine = await serve(body=body)
    with pytest.raises(EngineUnavailableError):
        await engine.inspect("a")


async def test_a_call_of_a_slow_engine_times_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.engine.STOP_EXTRA_SECONDS", 0.0)
    timeouts = []

    async def handle(request: web.Request) -> web.StreamResponse:
        timeouts.append(request.query["t"])
        await asyncio.sleep(30.0)  # cancelled when the server shuts down
        return web.Response()

    engine = await serve(handle)
    said = r"no response to POST /containers/a/stop within 1.6 s"
    with pytest.raises(EngineUnavailableError, match=said):
        await engine.stop("a", 1.6)
    assert timeouts == ["2"]


async def test_an_unreachable_engine_is_reported(tmp_path: Path) -> None:
    async with open_engine(tmp_path / "docker.sock") as engine:
        with pytest.raises(EngineUnavailableError, match="cannot be reached"):
            await engine.choose_version()
        with pytest.raises(EngineUnavailableError, match="events cannot be read"):
            await _read_events(engine)
