"""The lifespan of an application in a replica: probes answer meanwhile, and a failure is one sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.eventually import eventually_async
from support.harnesses.event_files import events_in
from support.harnesses.served_app import lifespan
from tidegate.serving import Loading, ReadyCheck, Replica, make_replica
from tidegate.settings import Settings
from tidegate.telemetry.asgi import ASGIApp


@asynccontextmanager
async def replica_of(
    app: ASGIApp, folder: Path, phase: str = "ready", **more: Any
) -> AsyncIterator[tuple[Replica, Any]]:
    """A replica that a server runs, once it is in this phase, and a client of it."""
    check = more.pop("check", None)
    replica = make_replica(app, Settings(stack={"data_dir": folder}, **more), check=check)
    async with lifespan(replica.app):
        await eventually_async(lambda: replica.lifecycle.phase == phase)
        transport = httpx.ASGITransport(replica.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield replica, client


async def hello(_: Request) -> Response:
    return PlainTextResponse("hello")


def logged(folder: Path, message: str) -> list[dict[str, Any]]:
    return [event for event in events_in(folder / "logs") if event["message"] == message]


async def test_an_exception_after_the_response_is_logged_with_the_trace(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no ink")

    async def order(_: Request) -> Response:
        return PlainTextResponse("ordered", background=BackgroundTask(fail))

    async with replica_of(Starlette(routes=[Route("/", order)]), tmp_path) as (_, client):
        assert (await client.get("/")).status_code == 200
    (request,) = events_in(tmp_path / "logs", "request")
    (failure,) = logged(tmp_path, "an exception after the response")
    assert failure["error"]["message"] == "no ink"
    assert failure["trace"] == request["trace"]


async def test_while_it_starts_probes_answer_and_requests_are_refused(tmp_path: Path) -> None:
    may_start, ended = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def slow(app: Starlette) -> AsyncIterator[None]:
        await may_start.wait()
        yield
        ended.set()

    app = Starlette(routes=[Route("/", hello)], lifespan=slow)
    async with replica_of(app, tmp_path, "loading") as (replica, client):
        live, ready, early = [await client.get(path) for path in ("/live", "/ready", "/")]
        assert (live.status_code, ready.status_code, early.status_code) == (200, 503, 503)
        expected = {"status": "loading", "reason": "waiting for the start-up of the application"}
        assert ready.json() == expected
        assert early.headers["retry-after"] == "1"
        assert "has not started: waiting for the start-up" in early.json()["detail"][0]["msg"]
        may_start.set()
        await eventually_async(lambda: replica.lifecycle.phase == "ready")
        assert (await client.get("/ready")).json() == {"status": "ready"}
        assert (await client.get("/")).text == "hello"
        assert not ended.is_set()
    assert ended.is_set()


async def test_an_application_is_ready_when_it_has_loaded_its_model(tmp_path: Path) -> None:
    may_load, loading = asyncio.Event(), Loading[bool]("the model")

    @asynccontextmanager
    async def loads(app: Starlette) -> AsyncIterator[None]:
        loading.start(may_load.wait)
        yield

    app = Starlette(routes=[Route("/", hello)], lifespan=loads)
    async with replica_of(app, tmp_path, "loading") as (replica, client):
        await eventually_async(lambda: "model" in replica.lifecycle.reason)
        assert (await client.get("/ready")).json()["reason"] == "waiting for the model"
        assert (await client.get("/")).text == "hello"  # what needs no model is served
        may_load.set()
        await eventually_async(lambda: replica.lifecycle.phase == "ready")


async def test_the_state_of_the_lifespan_is_that_of_the_server(tmp_path: Path) -> None:
    @asynccontextmanager
    async def stateful(app: Starlette) -> AsyncIterator[dict[str, int]]:
        yield {"cakes": 3}

    state: dict[str, Any] = {}
    replica = make_replica(Starlette(lifespan=stateful), Settings(stack={"data_dir": tmp_path}))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await replica.app({**scope, "state": state}, receive, send)

    async with lifespan(app):
        await eventually_async(lambda: replica.lifecycle.phase == "ready")
    assert state == {"cakes": 3}


def failing(error: Exception | None) -> Starlette:
    @asynccontextmanager
    async def fails(app: Starlette) -> AsyncIterator[None]:
        if error is not None:
            raise error
        yield

    return Starlette(lifespan=fails)


async def plain_failing(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise FileNotFoundError("model.pt")


async def says_failed(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "Traceback …\nKeyError: 'x'\n"})


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (failing(FileNotFoundError("model.pt")), "FileNotFoundError: model.pt ("),
        (plain_failing, "FileNotFoundError: model.pt ("),
        (says_failed, "KeyError: 'x'"),
    ],
)
async def test_a_start_up_that_fails_fails_the_replica_and_is_logged(
    tmp_path: Path, app: ASGIApp, reason: str
) -> None:
    async with replica_of(app, tmp_path, "failed") as (_, client):
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "failed")
        assert ready.json()["reason"].startswith(f"its start-up failed: {reason}")
        assert (await client.get("/")).status_code == 503
        (event,) = logged(tmp_path, "the application failed to start")
    if app is not says_failed:
        assert "FileNotFoundError" in event["error"]["stack_trace"]


async def answers_everything(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def asserts_http(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await answers_everything(scope, receive, send)


async def returns_unless_http(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answers_everything(scope, receive, send)


@pytest.mark.parametrize("app", [asserts_http, returns_unless_http, answers_everything])
async def test_an_application_without_a_lifespan_is_ready_at_once(
    tmp_path: Path, app: ASGIApp
) -> None:
    async with replica_of(app, tmp_path) as (_, client):
        assert (await client.get("/")).text == "hello"


async def test_a_start_up_that_still_runs_is_cancelled_at_the_end(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    @asynccontextmanager
    async def endless(app: Starlette) -> AsyncIterator[None]:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield

    async with replica_of(Starlette(lifespan=endless), tmp_path, "loading"):
        await asyncio.sleep(0)
    assert cancelled.is_set()


async def test_a_failed_shut_down_is_logged(tmp_path: Path) -> None:
    @asynccontextmanager
    async def fails_late(app: Starlette) -> AsyncIterator[None]:
        yield
        raise ValueError("cannot save")

    async with replica_of(Starlette(lifespan=fails_late), tmp_path):
        pass
    (event,) = logged(tmp_path, "the application failed to shut down")
    assert event["error"]["message"] == "cannot save"


async def test_a_function_of_the_application_says_whether_it_is_ready(tmp_path: Path) -> None:
    answers: list[Any] = [False, ValueError("no index"), ValueError("no index"), True]

    def is_ready() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return asyncio.sleep(0, answer) if answer else answer  # it may be a coroutine function

    app = Starlette(routes=[Route("/", hello)])
    check = ReadyCheck(is_ready, "shop:is_ready")
    async with replica_of(app, tmp_path, check=check) as (_, client):
        responses = [await client.get("/ready") for _ in range(4)]
    assert [response.status_code for response in responses] == [503, 503, 503, 200]
    assert responses[0].json() == {"status": "loading", "reason": "shop:is_ready returned False"}
    assert "shop:is_ready failed: ValueError: no index (" in responses[1].json()["reason"]
    assert len(logged(tmp_path, "the check of readiness failed")) == 1


@pytest.mark.parametrize(
    # The version that FastAPI assumes is none.
    ("app", "more"),
    [(FastAPI(version="2.0"), {"version": "2.0"}), (FastAPI(), {})],
)
async def test_readiness_tells_the_version_that_an_application_has_set(
    tmp_path: Path, app: FastAPI, more: dict[str, str]
) -> None:
    async with replica_of(app, tmp_path) as (_, client):
        assert (await client.get("/ready")).json() == {"status": "ready", **more}


@pytest.mark.parametrize("own", [False, True], ids=["no route", "a route of its own"])
async def test_ready_stays_an_address_of_a_probe_that_is_moved(tmp_path: Path, own: bool) -> None:
    # The health check of Docker Compose asks there.
    app = Starlette(routes=[Route("/ready", hello)] if own else [])
    moved = {"ready_path": "/healthz"}
    async with replica_of(app, tmp_path, replicas=moved) as (_, client):
        assert (await client.get("/healthz")).json() == {"status": "ready"}
        ready = await client.get("/ready")
        assert ready.text == "hello" if own else ready.json() == {"status": "ready"}


async def test_a_problem_that_is_watched_is_the_reason_until_it_has_gone(tmp_path: Path) -> None:
    problem = ""
    async with replica_of(Starlette(), tmp_path) as (replica, client):
        replica.lifecycle.watch(lambda: problem)
        replica.about["model"] = "cakes"
        assert (await client.get("/ready")).json() == {"status": "ready", "model": "cakes"}
        problem = "no oven"
        ready = await client.get("/ready")
        assert ready.status_code == 503
        assert ready.json() == {"status": "loading", "reason": "no oven"}
        assert (await client.get("/live")).status_code == 200
        problem = ""
        assert "connection" not in (await client.get("/ready")).headers
        replica.lifecycle.drain()
        problem = "no oven"
        assert replica.lifecycle.phase == "draining"
        # Else the server would close an idle connection on which the gateway may just send a request.
        assert (await client.get("/ready")).headers["connection"] == "close"


async def test_an_application_that_never_returns_does_not_delay_the_end(tmp_path: Path) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    async with replica_of(endless, tmp_path) as (replica, _):
        assert replica.lifecycle.phase == "ready"
