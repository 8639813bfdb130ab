"""The sender against real servers: all results of requests, and no coordinated omission."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from yarl import URL

from support.doubles.aiohttp_server import Handler, answering
from support.doubles.tcp_server import Speak, speaking
from support.ports import free_port
from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.bodies import bodies_of_rows
from tidegate.loadgen.plan.plan import PlannedRequest
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.send import target
from tidegate.loadgen.send.record import Recording
from tidegate.loadgen.send.sender import Limits, OpenLoop, Target
from tidegate.loadgen.send.target import preflight

pytestmark = pytest.mark.integration

# Whoever waits for this has failed.
LONG_SECONDS = 60.0
JSON = {"Content-Type": "application/json"}


def targets(url: URL) -> dict[str, Target]:
    bodies = bodies_of_rows([b'{"n":1}'], REQUEST_KINDS)
    return {kind: Target(url, bodies[kind], headers=JSON) for kind in REQUEST_KINDS}


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[URL]:
    async with answering(handler) as url:
        yield URL(url) / "predict"


def steady(rate: int, seconds: float) -> list[PlannedRequest]:
    return [PlannedRequest(row / rate, "light", row) for row in range(round(rate * seconds))]


async def sent(
    url: URL,
    plan: list[PlannedRequest],
    limits: Limits = Limits(),
    **form: Any,
) -> Recording:
    recording = Recording.of(plan)
    made = targets(url)
    if form:
        made = dict.fromkeys(made, Target(url, **form))
    await OpenLoop(plan, made, recording, limits).run()
    return recording


async def test_each_request_is_sent_once_with_its_body() -> None:
    seen: list[tuple[str, str, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        seen.append((request.method, request.headers["Content-Type"], body))
        return web.Response(headers={"traceresponse": f"00-{'ab' * 16}-{'cd' * 8}-01"})

    plan = [PlannedRequest(0.01 * row, REQUEST_KINDS[row % 3], row) for row in range(60)]
    async with serving(handler) as url:
        recording = await sent(url, plan)
    assert recording.answered.all()
    assert not recording.failed.any()
    assert (recording.lag >= 0).all()
    assert (recording.service > 0).all()
    assert {recording.trace_id(row) for row in range(60)} == {"ab" * 16}
    assert sorted(seen) == sorted(
        ("POST", "application/json", targets(url)[one.kind].body(one.body)) for one in plan
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (
            {"method": "PUT", "headers": {"Content-Type": "text/csv"}, "bodies": [b"a,b\n1,2"]},
            ("PUT", "text/csv", b"a,b\n1,2"),
        ),
        ({"method": "GET"}, ("GET", "", b"")),
        ({"method": "POST"}, ("POST", "", b"")),
    ],
)
async def test_any_method_and_body_is_sent_as_it_is_and_each_status_is_kept(
    form: dict[str, Any], expected: tuple[str, str, bytes]
) -> None:
    seen: list[tuple[str, str, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        # aiohttp's server reports a missing type as application/octet-stream.
        kind = request.headers.get("Content-Type", "").replace("application/octet-stream", "")
        seen.append((request.method, kind, await request.read()))
        return web.Response(status=(200, 201, 404, 503)[len(seen) - 1])

    plan = steady(20, 0.2)
    async with serving(handler) as url:
        recording = await sent(url, plan, **form)
    assert seen == [expected] * 4
    assert sorted(recording.status) == [200, 201, 404, 503]


async def test_a_stall_of_the_server_affects_all_requests_planned_during_it() -> None:
    came: list[float] = []

    async def handler(request: web.Request) -> web.Response:
        came.append(at := time.monotonic())
        await request.read()
        # For a second, from half a second after its first request on, it answers nothing.
        if came[0] + 0.5 <= at:
            await asyncio.sleep(max(0.0, came[0] + 1.5 - at))
        return web.Response()

    plan = steady(50, 3)
    recording = Recording.of(plan)
    async with serving(handler) as url:
        loop = OpenLoop(plan, targets(url), recording, Limits())
        await loop.run()
    zero = loop.start
    begin, end = came[0] + 0.5 - zero, came[0] + 1.5 - zero
    within = (recording.planned >= begin) & (recording.planned < end)
    assert int(within.sum()) > 40
    # A loop that waits for answers would have sent one request into the stall, and felt it once.
    assert (recording.finished[within] > end - 0.001).all()
    # They go on going out at their times: the stall does not hold up the sending.
    assert sum(begin <= at - zero < end for at in came) > 20


async def test_a_stall_of_the_sender_increases_response_times_but_not_service_times() -> None:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response()

    async with serving(handler) as url:
        # The whole process stands still for half a second: what was planned then is sent after.
        asyncio.get_running_loop().call_later(0.7, time.sleep, 0.5)
        recording = await sent(url, steady(40, 1.5))
    assert recording.answered.all()
    late = recording.lag > 0.1
    assert int(late.sum()) >= 10
    assert (recording.response[late] >= recording.lag[late]).all()
    assert recording.response.max() > 0.4
    assert float(np.median(recording.service[late])) < 0.4


@pytest.mark.parametrize("status", [307, 404, 503])
async def test_an_error_or_a_redirect_counts_as_answered_and_failed(status: int) -> None:
    paths: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(handler) as url:
        recording = await sent(url, steady(100, 0.05))
    assert recording.answered.all()
    assert recording.errors() == {f"HTTP {status}": 5}
    assert set(paths) == {"/predict"}


async def test_a_late_response_is_a_timeout() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(handler) as url:
        recording = await sent(url, steady(100, 0.05), Limits(timeout_seconds=0.2))
    assert recording.errors() == {"timeout": 5}
    assert (recording.response >= 0.19).all()


async def test_a_closed_port_is_a_refused_connection() -> None:
    recording = await sent(URL(f"http://127.0.0.1:{free_port()}/"), steady(100, 0.03))
    assert recording.errors() == {"connection refused": 3}


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"220 smtp.example ESMTP\r\n\r\n")


@pytest.mark.parametrize(
    ("speak", "said"),
    [(hang_up, "disconnected"), (break_off, "incomplete answer"), (babble, "not HTTP")],
)
async def test_an_incomplete_response_is_a_failure(speak: Speak, said: str) -> None:
    async with speaking(speak) as port:
        recording = await sent(URL(f"http://127.0.0.1:{port}/predict"), steady(100, 0.03))
    assert not recording.answered.any()
    assert recording.errors() == {said: 3}


async def test_requests_over_the_limit_in_flight_fail_without_being_sent() -> None:
    plan = steady(100, 0.1)
    recording = Recording.of(plan)

    async def handler(_: web.Request) -> web.Response:
        async with asyncio.timeout(60):
            while recording.failed.sum() < 6:  # noqa: ASYNC110  the recording has no callback
                await asyncio.sleep(0.01)
        return web.Response()

    async with serving(handler) as url:
        await OpenLoop(plan, targets(url), recording, Limits(in_flight=4)).run()
    assert recording.was_sent.tolist() == [True] * 4 + [False] * 6
    assert recording.answered.tolist() == [True] * 4 + [False] * 6
    assert recording.errors() == {"too many in flight": 6}


async def test_a_stop_ends_sending_and_waits_for_outstanding_responses() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response()

    plan = steady(50, 20)
    recording = Recording.of(plan)
    async with serving(handler) as url:
        loop = OpenLoop(plan, targets(url), recording, Limits())
        asyncio.get_running_loop().call_later(0.8, loop.stop)
        await asyncio.wait_for(loop.run(), LONG_SECONDS)
    assert loop.interrupted
    assert 0 < int(recording.was_sent.sum()) < 100
    assert (recording.answered == recording.was_sent).all()
    assert not recording.failed.any()


@pytest.mark.parametrize("stops", [1, 2])
async def test_a_stop_waits_for_a_limited_time_and_a_second_one_not_at_all(
    monkeypatch: pytest.MonkeyPatch, stops: int
) -> None:
    async def handler(_: web.Request) -> web.Response:
        if not loop.interrupted:
            loop.stop()
            if stops == 2:
                asyncio.get_running_loop().call_later(0.1, loop.stop)
        await asyncio.sleep(LONG_SECONDS)
        return web.Response()

    grace = LONG_SECONDS if stops == 2 else 0.2
    monkeypatch.setattr("tidegate.loadgen.send.sender.GRACE_SECONDS", grace)
    plan = steady(50, 20)
    recording = Recording.of(plan)
    async with serving(handler) as url:
        loop = OpenLoop(plan, targets(url), recording, Limits())
        await asyncio.wait_for(loop.run(), LONG_SECONDS / 2)
    assert recording.was_sent.any()
    assert not (recording.answered | recording.failed).any()
    assert {recording.error(int(row)) for row in np.flatnonzero(recording.was_sent)} == {
        "interrupted"
    }


async def test_a_bug_in_the_sender_ends_the_run_with_its_error() -> None:
    class Broken(Recording):
        def answer(self, *args: object) -> None:
            raise ZeroDivisionError(args)

    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    plan = steady(50, 20)
    recording = Broken([one.at for one in plan], [one.kind for one in plan])
    async with serving(handler) as url:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(OpenLoop(plan, targets(url), recording, Limits()).run(), 19)


async def test_the_preflight_accepts_any_response_below_500() -> None:
    asked: list[str] = []
    statuses = iter([200, 404, 503])

    async def handler(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        return web.Response(status=next(statuses))

    async with serving(handler) as url:
        base = str(url.origin())
        await preflight(base)
        await preflight(base)
        with pytest.raises(UsageError, match=r"is not ready \(/ready responds with 503\)"):
            await preflight(base)
    assert asked == ["GET /ready"] * 3
    with pytest.raises(UsageError, match=r"does not respond: .*nothing was sent"):
        await preflight(base)


async def test_the_preflight_does_not_wait_for_a_silent_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target, "PREFLIGHT_SECONDS", 0.2)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with speaking(silent) as port:
        with pytest.raises(UsageError, match=r"does not respond within 0\.2 s; nothing was sent"):
            await preflight(f"http://127.0.0.1:{port}")
