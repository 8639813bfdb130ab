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

from support.harnesses.telemetry_harness import Harness
from tidegate.telemetry import get_logger, logs


@pytest.fixture(autouse=True)
def _reset_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def event_of(harness: Harness, logger: str) -> dict[str, Any]:
    """The only `app` event of a logger."""
    (line,) = [e for e in harness.events("app") if e["log"]["logger"] == logger]
    return line


def test_a_log_record_is_an_event(harness: Harness) -> None:
    harness.instrument(Starlette())
    get_logger("flights.model").info("model loaded", model={"version": "3"}, rows=2)
    event = harness.event("app")
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
def test_levels_have_the_names_of_other_events(harness: Harness, method: str, level: str) -> None:
    harness.instrument(Starlette())
    getattr(get_logger("a"), method)("x %s", "y")
    assert harness.event("app")["log"]["level"] == level
    assert harness.event("app")["message"] == "x y"


def test_debug_records_are_dropped(harness: Harness) -> None:
    harness.instrument(Starlette())
    get_logger("a").debug("x")
    assert harness.events("app") == []


def test_an_exception_has_its_stack_trace(harness: Harness) -> None:
    harness.instrument(Starlette())
    try:
        float("no such airport")
    except ValueError as error:
        get_logger("a").exception("cannot predict", origin="XXX")
        get_logger("a").warning("again", exc_info=error)
        get_logger("a").warning("and again", exc_info=sys.exc_info())
    assert len(harness.events("app")) == 3
    for event in harness.events("app"):
        assert event["error"]["type"] == "ValueError"
        assert "no such airport" in event["error"]["message"]
        assert "in test_an_exception" in event["error"]["stack_trace"]


def test_a_long_stack_trace_is_truncated_at_its_start(harness: Harness) -> None:
    harness.instrument(Starlette())
    error = ValueError("the end")
    error.__cause__ = ValueError("a" * 100_000)  # its message alone would exceed an event
    get_logger("a").error("x", exc_info=error)
    stack = harness.event("app")["error"]["stack_trace"]
    assert len(stack) == 32_768
    assert stack.endswith("end\n")


def test_structlog_is_configured_unless_the_app_has_configured_it(harness: Harness) -> None:
    harness.instrument(Starlette())
    structlog.get_logger("named").info("hello")
    structlog.get_logger().info("hello")
    with structlog.contextvars.bound_contextvars(job="nightly"):
        structlog.get_logger("bound").bind(step=2).info("hello")
    assert event_of(harness, "named")["message"] == "hello"
    assert event_of(harness, "app")["message"] == "hello"
    assert event_of(harness, "bound")["tidegate"] == {"job": "nightly", "step": 2}


def test_the_structlog_configuration_of_an_app_is_unchanged(harness: Harness) -> None:
    lines: list[Any] = []

    def collect(_: Any, __: str, event: Any) -> str:
        lines.append(event["event"])
        raise structlog.DropEvent

    structlog.configure(processors=[collect])
    harness.instrument(Starlette())
    structlog.get_logger().info("mine")
    get_logger("a").info("ours")
    assert lines == ["mine"]
    assert harness.event("app")["message"] == "ours"


def test_warnings_of_the_standard_library_are_events(harness: Harness) -> None:
    harness.instrument(Starlette())
    logger = logging.getLogger("another.library")
    logger.info("below the level")
    logger.warning("disk %d %% full", 91)
    try:
        int("x")
    except ValueError:
        logger.exception("oh")
    warning, error = harness.events("app")
    assert warning["message"] == "disk 91 % full"
    assert warning["log"] == {"level": "warn", "logger": "another.library"}
    assert error["log"]["level"] == "error"
    assert error["error"]["type"] == "ValueError"
    assert "Traceback" in error["error"]["stack_trace"]


def test_records_of_the_standard_library_are_events_by_the_root_loggers_own_level(
    harness: Harness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, library = logging.getLogger(), logging.getLogger("another.library")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.INFO)
    monkeypatch.setattr(library, "level", logging.DEBUG)
    root.manager._clear_cache()  # type: ignore[attr-defined]
    harness.instrument(Starlette())
    logging.getLogger("shop").info("a quote")
    library.debug("below the root logger's level, though not below its own")
    logging.getLogger("uvicorn.access").info('1.2.3.4 "GET /?token=secret HTTP/1.1" 200')
    assert harness.event("app")["message"] == "a quote"
    assert harness.event("app")["log"] == {"level": "info", "logger": "shop"}
    assert capsys.readouterr().err == ""


def test_log_records_of_uvicorn_are_events_from_info_on(harness: Harness) -> None:
    harness.instrument(Starlette())
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.INFO)
    logger.info("Started server process")
    logger.warning("once, although the root logger receives it, too")
    assert [e["message"] for e in harness.events("app")] == [
        "Started server process",
        "once, although the root logger receives it, too",
    ]


async def test_the_startup_attaches_the_handlers_again(harness: Harness) -> None:
    app = Starlette()
    harness.instrument(app)
    # As uvicorn's dictConfig does after the application was created.
    logging.getLogger("uvicorn.error").handlers.clear()
    sent: list[str] = []
    incoming = ["lifespan.startup", "lifespan.shutdown"]

    async def receive() -> Any:
        if incoming[0] == "lifespan.shutdown":
            logging.getLogger("uvicorn.error").warning("while running")
        return {"type": incoming.pop(0)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert [e["message"] for e in harness.events("app")] == ["while running"]
    logging.getLogger("uvicorn.error").warning("after the shutdown")
    assert len(harness.events("app")) == 1


async def test_a_record_goes_to_the_app_whose_request_it_is_from(tmp_path: Any) -> None:
    harnesses = [Harness(tmp_path / name) for name in ("first", "second")]
    apps = []

    async def endpoint(request: Request) -> Response:
        get_logger("a").info("in a request")
        logging.getLogger("b").warning("in a request")
        return Response()

    for harness in harnesses:
        app = Starlette(routes=[Route("/", endpoint)])
        harness.instrument(app)
        apps.append(app)
    first, second = harnesses
    get_logger("a").info("outside")
    async with first.client(apps[0]) as client:
        await client.get("/")
    assert [e["message"] for e in first.events("app")] == ["in a request"] * 2
    assert {e["trace"]["id"] for e in first.events("app")} == {
        first.event("request")["trace"]["id"]
    }
    assert [e["message"] for e in second.events("app")] == ["outside"]
    second.telemetries[0].close()
    get_logger("a").info("outside")
    assert len(first.events("app")) == 3
    first.telemetries[0].close()


async def test_an_exception_that_the_server_logs_has_the_trace_of_its_request(
    harness: Harness,
) -> None:
    async def boom(request: Request) -> Response:
        raise ValueError("bad")

    app = Starlette(routes=[Route("/", boom)])
    harness.instrument(app)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        pass

    try:
        await app(scope, receive, send)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    request, record = harness.event("request"), harness.event("app")
    assert record["trace"] == request["trace"]
    assert record["span"] == request["span"]


def test_without_an_app_records_go_to_the_standard_library(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_open_sinks", [])
    with caplog.at_level(logging.INFO):
        get_logger("a").info("hello", rows=1)
    assert [r.getMessage() for r in caplog.records if r.name == "a"] == ["hello {'rows': 1}"]


def test_warnings_are_printed_on_stderr_without_another_handler(
    harness: Harness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    harness.instrument(Starlette())
    logging.getLogger("x").warning("on stderr")
    assert "on stderr" in capsys.readouterr().err
    root.addHandler(logging.NullHandler())
    logging.getLogger("x").warning("for another handler")
    assert "another handler" not in capsys.readouterr().err


def test_an_invalid_log_call_does_not_raise(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.instrument(Starlette())
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%d", ("not a number",), None)
    logs.StandardLibraryHandler().emit(record)
    assert harness.events("app") == []
    assert "Logging error" in capsys.readouterr().err
