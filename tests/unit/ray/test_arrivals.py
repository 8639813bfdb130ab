"""The middleware where Ray Serve receives requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tidegate.ray.arrivals import ArrivalMetrics, ArrivalMiddleware, Arrivals
from tidegate.telemetry.asgi import Receive, Scope, Send
from tidegate.telemetry.propagation import parse_request_start

NOW_NS = 1_795_671_808_123_456_789


def scope(path: str = "/predict", kind: str = "http", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "path": path, "headers": pairs}


async def no_receive() -> dict[str, Any]:
    raise AssertionError("nobody reads the body here")


async def no_send(message: Any) -> None:
    raise AssertionError(f"nobody responds here: {message}")


class Application:
    """Keeps the scope of the last request, and what was present meanwhile."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self.scope: Scope = {}
        self.present = -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.present = scope, self.arrivals.present
        if scope["path"] == "/broken":
            raise ValueError("broken")


@pytest.fixture
def application() -> Application:
    return Application()


def call(application: Application, request: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    middleware = ArrivalMiddleware(application, application.arrivals, lambda: NOW_NS)
    asyncio.run(middleware(request, no_receive, no_send))
    found: list[tuple[bytes, bytes]] = application.scope["headers"]
    return found


@pytest.mark.parametrize("claimed", [{}, {"x_request_start": "t=1"}])
def test_a_request_gets_the_time_of_its_arrival_whatever_a_client_claims(
    application: Application, claimed: dict[str, str]
) -> None:
    headers = call(application, scope(**claimed, host="a"))
    assert headers == [(b"host", b"a"), (b"x-request-start", b"t=1795671808123456")]
    assert parse_request_start(headers[1][1], NOW_NS) == NOW_NS // 1000 * 1000


def test_a_request_is_present_until_it_has_its_response(application: Application) -> None:
    arrivals = application.arrivals
    call(application, scope())
    assert (application.present, arrivals.present, arrivals.total) == (1, 0, 1)
    with pytest.raises(ValueError, match="broken"):
        call(application, scope("/broken"))
    assert (arrivals.present, arrivals.total) == (0, 2)


@pytest.mark.parametrize("request_scope", [scope("/-/healthz"), scope(kind="websocket")])
def test_health_checks_of_ray_and_websockets_do_not_count(
    application: Application, request_scope: dict[str, Any]
) -> None:
    assert call(application, request_scope) == []
    assert application.arrivals.total == 0


@pytest.mark.parametrize(("present", "busy", "waiting"), [(5, 2, 3.0), (2, 2, 0.0), (1, 2, 0.0)])
def test_those_without_a_slot_wait(present: int, busy: int, waiting: float) -> None:
    arrivals, registry = Arrivals(), CollectorRegistry()
    arrivals.present, arrivals.total = present, 7
    registry.register(ArrivalMetrics(lambda: busy, arrivals))
    assert registry.get_sample_value("tidegate_ray_waiting") == waiting
    assert registry.get_sample_value("tidegate_ray_arrivals_total") == 7
