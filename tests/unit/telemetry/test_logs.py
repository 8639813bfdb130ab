from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.telemetry import get_logger, logs

from .conftest import Bench


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def only(bench: Bench, logger: str) -> dict[str, Any]:
    (line,) = [e for e in bench.events("app") if e["log"]["logger"] == logger]
    return line


def test_a_log_line_is_an_event(bench: Bench) -> None:
    bench.instrument(Starlette())
    get_logger("flights.model").info("model loaded", model={"version": "3"}, rows=2)
    event = bench.event("app")
    assert event["message"] == "model loaded"
    assert event["log"] == {"level": "info", "logger": "flights.model"}
    assert event["tidegate"] == {"model": {"version": "3"}, "rows": 2}
    assert event["service"]["name"] == "shop"
    assert event["@timestamp"] == "2023-11-14T22:13:20.000000Z"
    assert "trace" not in event
    assert "error" not in event


@pytest.mark.parametrize(
    ("method", "level"),
    [("info", "info"), ("warning", "warn"), ("error", "error"), ("critical", "error")],
)
def test_levels_are_named_as_elsewhere(bench: Bench, method: str, level: str) -> None:
    bench.instrument(Starlette())
    getattr(get_logger("a"), method)("x %s", "y")
    assert bench.event("app")["log"]["level"] == level
    assert bench.event("app")["message"] == "x y"


def test_debug_lines_are_left_out(bench: Bench) -> None:
    bench.instrument(Starlette())
    get_logger("a").debug("x")
    assert bench.events("app") == []


def test_an_exception_comes_with_its_stack(bench: Bench) -> None:
    bench.instrument(Starlette())
    try:
        float("no such airport")
    except ValueError as error:
        get_logger("a").exception("cannot predict", origin="XXX")
        get_logger("a").warning("again", exc_info=error)
        get_logger("a").warning("and again", exc_info=sys.exc_info())
    assert len(bench.events("app")) == 3
    for event in bench.events("app"):
        assert event["error"]["type"] == "ValueError"
        assert "no such airport" in event["error"]["message"]
        assert "in test_an_exception" in event["error"]["stack_trace"]


def test_a_very_long_stack_keeps_its_end(bench: Bench) -> None:
    bench.instrument(Starlette())
    get_logger("a").error("x", exc_info=ValueError("a" * 100_000 + "end"))
    stack = bench.event("app")["error"]["stack_trace"]
    assert len(stack) == 32_768
    assert stack.endswith("end\n")


def test_structlog_itself_is_set_up_where_nobody_has(bench: Bench) -> None:
    bench.instrument(Starlette())
    structlog.get_logger("named").info("hello")
    structlog.get_logger().info("hello")
    with structlog.contextvars.bound_contextvars(job="nightly"):
        structlog.get_logger("bound").bind(step=2).info("hello")
    assert only(bench, "named")["message"] == "hello"
    assert only(bench, "app")["message"] == "hello"
    assert only(bench, "bound")["tidegate"] == {"job": "nightly", "step": 2}


def test_an_apps_own_structlog_configuration_is_left_alone(bench: Bench) -> None:
    lines: list[Any] = []

    def keep(_: Any, __: str, event: Any) -> str:
        lines.append(event["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    bench.instrument(Starlette())
    structlog.get_logger().info("mine")
    get_logger("a").info("ours")
    assert lines == ["mine"]
    assert bench.event("app")["message"] == "ours"


def test_warnings_of_the_standard_library_are_events(bench: Bench) -> None:
    bench.instrument(Starlette())
    logger = logging.getLogger("somebody.else")
    logger.info("too quiet")
    logger.warning("disk %d %% full", 91)
    try:
        int("x")
    except ValueError:
        logger.exception("oh")
    warning, error = bench.events("app")
    assert warning["message"] == "disk 91 % full"
    assert warning["log"] == {"level": "warn", "logger": "somebody.else"}
    assert error["log"]["level"] == "error"
    assert error["error"]["type"] == "ValueError"
    assert "Traceback" in error["error"]["stack_trace"]


def test_uvicorns_own_lines_are_events_from_info_on(bench: Bench) -> None:
    bench.instrument(Starlette())
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.INFO)
    logger.info("Started server process")
    logger.warning("once, though the root gets it too")
    assert [e["message"] for e in bench.events("app")] == [
        "Started server process",
        "once, though the root gets it too",
    ]


async def test_start_up_hangs_the_handlers_on_again(bench: Bench) -> None:
    app = Starlette()
    bench.instrument(app)
    # As uvicorn's dictConfig does, after the app was made.
    logging.getLogger("uvicorn.error").handlers.clear()
    said: list[str] = []
    incoming = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Any:
        if incoming[0] == "lifespan.shutdown":
            logging.getLogger("uvicorn.error").warning("in between")
        return {"type": incoming.pop(0)}

    async def send(message: Any) -> None:
        said.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [e["message"] for e in bench.events("app")] == ["in between"]
    logging.getLogger("uvicorn.error").warning("afterwards")
    assert len(bench.events("app")) == 1


async def test_a_line_goes_to_the_app_whose_request_it_is(tmp_path: Any) -> None:
    benches = [Bench(tmp_path / name) for name in ("first", "second")]
    apps = []

    async def answer(request: Request) -> Response:
        get_logger("a").info("in a request")
        logging.getLogger("b").warning("in a request")
        return Response()

    for bench in benches:
        app = Starlette(routes=[Route("/", answer)])
        bench.instrument(app)
        apps.append(app)
    first, second = benches
    get_logger("a").info("outside")
    async with first.client(apps[0]) as client:
        await client.get("/")
    assert [e["message"] for e in first.events("app")] == ["in a request"] * 2
    assert {e["trace"]["id"] for e in first.events("app")} == {
        first.event("request")["trace"]["id"]
    }
    assert [e["message"] for e in second.events("app")] == ["outside"]
    second.made[0].close()
    get_logger("a").info("outside")
    assert len(first.events("app")) == 3
    first.made[0].close()


async def test_a_server_that_logs_the_exception_afterwards_logs_its_trace(bench: Bench) -> None:
    async def boom(request: Request) -> Response:
        raise ValueError("bad")

    app = Starlette(routes=[Route("/", boom)])
    bench.instrument(app)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    try:
        await app(scope, receive, send)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    request, line = bench.event("request"), bench.event("app")
    assert line["trace"] == request["trace"]
    assert line["span"] == request["span"]


def test_without_an_app_lines_go_to_the_standard_library(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_open_sinks", [])
    with caplog.at_level(logging.INFO):
        get_logger("a").info("hello", rows=1)
    assert [r.getMessage() for r in caplog.records if r.name == "a"] == ["hello {'rows': 1}"]


def test_warnings_are_still_on_stderr_when_nobody_else_shows_them(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    held = root.handlers[:]
    monkeypatch.setattr(root, "handlers", [])
    bench.instrument(Starlette())
    logging.getLogger("x").warning("on stderr")
    assert "on stderr" in capsys.readouterr().err
    root.addHandler(logging.NullHandler())
    logging.getLogger("x").warning("in somebody's hands")
    assert "in somebody" not in capsys.readouterr().err
    assert held is not root.handlers


def test_a_bad_log_call_breaks_nobody(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.instrument(Starlette())
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%d", ("not a number",), None)
    logs.StandardLibraryHandler().emit(record)
    assert bench.events("app") == []
    assert "Logging error" in capsys.readouterr().err
