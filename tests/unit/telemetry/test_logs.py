from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import loguru
import pytest
import structlog
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from support.harnesses.served_app import lifespan
from support.harnesses.telemetry_harness import Harness
from support.samples.asgi_apps import app_with, http_scope, ignore, receive_once
from tidegate.telemetry import get_logger, logs


@pytest.fixture(autouse=True)
def _reset_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def shop(harness: Harness) -> Harness:
    """An instrumented application."""
    harness.instrument(Starlette())
    return harness


def test_a_log_record_is_an_event(shop: Harness) -> None:
    get_logger("flights.model").info("model loaded", model={"version": "3"}, rows=2)
    event = shop.event("app")
    assert event["message"] == "model loaded"
    assert event["log"] == {"level": "info", "logger": "flights.model"}
    assert event["tidegate"] == {"model": {"version": "3"}, "rows": 2}
    assert event["service"]["name"] == "shop"
    assert event["@timestamp"] == "2023-11-14T22:13:20.000000Z"
    assert not {"trace", "error"} & event.keys()


@pytest.mark.parametrize(
    ("method", "levels"),
    [
        ("debug", []),
        ("info", ["info"]),
        ("warning", ["warn"]),
        ("error", ["error"]),
        ("critical", ["error"]),
    ],
)
def test_levels_have_the_names_of_other_events(
    shop: Harness, method: str, levels: list[str]
) -> None:
    getattr(get_logger("a"), method)("x %s", "y")
    found = [(event["log"]["level"], event["message"]) for event in shop.events("app")]
    assert found == [(level, "x y") for level in levels]


def test_an_exception_has_its_stack_trace(shop: Harness) -> None:
    try:
        float("no such airport")
    except ValueError as error:
        get_logger("a").exception("cannot predict", origin="XXX")
        get_logger("a").warning("again", exc_info=error)
        get_logger("a").warning("and again", exc_info=sys.exc_info())
    assert len(shop.events("app")) == 3
    for event in shop.events("app"):
        assert event["error"]["type"] == "ValueError"
        assert "no such airport" in event["error"]["message"]
        assert "in test_an_exception" in event["error"]["stack_trace"]


def test_a_long_stack_trace_is_truncated_at_its_start(shop: Harness) -> None:
    error = ValueError("the end")
    error.__cause__ = ValueError("a" * 100_000)  # its message alone would exceed an event
    get_logger("a").error("x", exc_info=error)
    stack = shop.event("app")["error"]["stack_trace"]
    assert len(stack) == 32_768
    assert stack.endswith("end\n")


def test_structlog_is_configured_unless_the_app_has_configured_it(shop: Harness) -> None:
    structlog.get_logger("named").info("hello")
    structlog.get_logger().info("hello")
    with structlog.contextvars.bound_contextvars(job="nightly"):
        structlog.get_logger("bound").bind(step=2).info("hello")
    named, unnamed, bound = shop.events("app")
    assert [one["log"]["logger"] for one in (named, unnamed, bound)] == ["named", "app", "bound"]
    assert {one["message"] for one in (named, unnamed, bound)} == {"hello"}
    assert bound["tidegate"] == {"job": "nightly", "step": 2}


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


def test_warnings_of_the_standard_library_are_events(shop: Harness) -> None:
    logger = logging.getLogger("another.library")
    logger.info("below the level")
    logger.warning("disk %d %% full", 91)
    try:
        int("x")
    except ValueError:
        logger.exception("oh")
    warning, error = shop.events("app")
    assert warning["message"] == "disk 91 % full"
    assert warning["log"] == {"level": "warn", "logger": "another.library"}
    assert (error["log"]["level"], error["error"]["type"]) == ("error", "ValueError")
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
    event = harness.event("app")
    assert (event["message"], event["log"]) == ("a quote", {"level": "info", "logger": "shop"})
    assert capsys.readouterr().err == ""


def test_fields_of_a_record_of_the_standard_library_are_kept(shop: Harness) -> None:
    logger, at = logging.getLogger("shop"), datetime(2026, 12, 1, tzinfo=UTC)
    logger.warning("paid", extra={"user_id": 7, "cart": {"cakes": 2}, "at": at, "of": Path("a")})
    logger.warning(
        "refused", extra={"request": object(), "_private": 1, "color_message": "x", "": 1}
    )
    logger.warning({"message": "an object", "x": 1, "time": 0.5, "level": "info"})
    logger.warning('{"msg": "a line of JSON", "level": "warning", "x": 2}')
    logger.warning("{not JSON}")
    logger.warning("[1]")
    assert [(event["message"], event.get("tidegate")) for event in shop.events("app")] == [
        (
            "paid",
            {"user_id": 7, "cart": {"cakes": 2}, "at": "2026-12-01T00:00:00+00:00", "of": "a"},
        ),
        ("refused", {"": 1}),
        ("an object", {"x": 1, "time": 0.5}),
        ("a line of JSON", {"x": 2}),
        ("{not JSON}", None),
        ("[1]", None),
    ]


def test_structlog_through_the_standard_library_keeps_its_fields(shop: Harness) -> None:
    structlog.configure(  # as its documentation has it
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    log = structlog.stdlib.get_logger("tickets")
    try:
        float("x")
    except ValueError:
        log.exception("refunded", ticket_id=3)
    event = shop.event("app")
    assert (event["message"], event["tidegate"]) == ("refunded", {"ticket_id": 3})
    assert event["log"] == {"level": "error", "logger": "tickets"}
    assert event["error"]["type"] == "ValueError"


def test_structlog_may_be_configured_after_the_application(shop: Harness) -> None:
    for last in (structlog.processors.JSONRenderer(), structlog.processors.KeyValueRenderer()):
        structlog.configure(processors=[structlog.processors.add_log_level, last])
        structlog.get_logger("a").error("sold out", cake="nut")
    found = [(e["log"], e["message"], e.get("tidegate")) for e in shop.events("app")]
    assert found == [
        ({"level": "error", "logger": "a"}, "sold out", {"cake": "nut"}),
        ({"level": "info", "logger": "a"}, "cake='nut' event='sold out' level='error'", None),
    ]


def watched_output(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output, whose lines of JSON become events."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    logs.watch_output()
    return output


def test_json_lines_on_standard_output_are_events(
    shop: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = watched_output(monkeypatch)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(),
    )
    structlog.get_logger().error("sold out", cake="nut")
    sys.stdout.write('{"severity": "WARNING", "x": 1}\n{"broken": }\n')
    sys.stdout.write('{"msg": "a\u2028b", "level": 7}\r\n')
    sys.stdout.write("plain\n")
    found = [(e["log"], e["message"], e["tidegate"]) for e in shop.events("app")]
    assert found == [
        ({"level": "error", "logger": "stdout"}, "sold out", {"cake": "nut"}),
        ({"level": "warn", "logger": "stdout"}, '{"severity": "WARNING", "x": 1}', {"x": 1}),
        ({"level": "info", "logger": "stdout"}, "a\u2028b", {"level": 7}),
    ]
    assert printed.getvalue().count("\n") == 5
    assert not sys.stdout.isatty()


@pytest.mark.parametrize("propagate", [False, True])
def test_a_record_that_a_handler_prints_as_json_is_one_event(
    shop: Harness, monkeypatch: pytest.MonkeyPatch, *, propagate: bool
) -> None:
    printed = watched_output(monkeypatch)
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter('{"message": "%(message)s"}'))
    for name in ("json", "uvicorn.access"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", propagate)
        logger.warning("sold", extra={"user_id": 7})
    event = shop.event("app")
    assert (event["message"], event["tidegate"]) == ("sold", {"user_id": 7})
    assert event["log"] == {"level": "warn", "logger": "json"}
    assert printed.getvalue().count("sold") == 2


def test_a_record_that_another_thread_prints_as_json_is_one_event(
    shop: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = watched_output(monkeypatch)
    records = SimpleQueue[Any]()
    monkeypatch.setattr(logging.getLogger(), "handlers", [QueueHandler(records)])
    shop.telemetries[0].open()
    listener = QueueListener(records, logging.StreamHandler(sys.stdout))
    listener.start()
    logging.getLogger("json").warning('{"message": "sold"}')
    listener.stop()
    assert shop.event("app")["message"] == "sold"
    assert "sold" in printed.getvalue()


@pytest.fixture
def no_sinks() -> Iterator[None]:
    """Without sinks of loguru, also at the end."""
    loguru.logger.remove()
    yield
    loguru.logger.remove()


@pytest.mark.usefixtures("no_sinks")
def test_records_of_loguru_are_events(harness: Harness) -> None:
    telemetry = harness.instrument(Starlette())
    loguru.logger.remove()  # as its documentation begins, when the application is set up
    telemetry.open()
    loguru.logger.bind(user="eve").info("{n} sold", n=3)
    loguru.logger.debug("below INFO")
    try:
        float("x")
    except ValueError:
        loguru.logger.exception("oh")
    sold, failed = harness.events("app")
    assert (sold["message"], sold["tidegate"]) == ("3 sold", {"user": "eve", "n": 3})
    assert sold["log"] == {"level": "info", "logger": __name__}
    assert (failed["log"]["level"], failed["error"]["type"]) == ("error", "ValueError")
    telemetry.close()
    loguru.logger.info("after the shutdown")
    assert len(harness.events("app")) == 2


class ToLoguru(logging.Handler):
    """As loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        loguru.logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


class FromLoguru(logging.Handler):
    """The same."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@pytest.mark.usefixtures("no_sinks")
def test_a_record_that_passes_loguru_and_the_standard_library_is_one_event(
    shop: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    loguru.logger.add(FromLoguru(), format="{message}")
    loguru.logger.warning("from loguru")
    loguru.logger.remove()
    shop.telemetries[0].open()
    for name, propagate in (("a", True), ("b", False)):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [ToLoguru()])
        monkeypatch.setattr(logging.getLogger(name), "propagate", propagate)
        logging.getLogger(name).warning("to loguru", extra={"user_id": 7})
    events = shop.events("app")
    assert [event["message"] for event in events] == ["from loguru", *["to loguru"] * 2]
    assert [event.get("tidegate") for event in events] == [None, *[{"user_id": 7}] * 2]


def test_log_records_of_uvicorn_are_events_from_info_on(shop: Harness) -> None:
    logger = logging.getLogger("uvicorn.error")
    logger.setLevel(logging.INFO)
    logger.info("Started server process")
    logger.warning("once, although the root logger receives it, too")
    assert [event["log"]["level"] for event in shop.events("app")] == ["info", "warn"]


async def test_the_startup_attaches_the_handlers_again(harness: Harness) -> None:
    app, logger = Starlette(), logging.getLogger("uvicorn.error")
    harness.instrument(app)
    # As uvicorn's dictConfig does after the application was created.
    logger.handlers.clear()
    logger.setLevel(logging.INFO)
    async with lifespan(app):
        logger.info("while running")
    assert [e["message"] for e in harness.events("app")] == ["while running"]
    logger.warning("after the shutdown")
    assert len(harness.events("app")) == 1


async def test_a_record_goes_to_the_app_whose_request_it_is_from(
    new_harness: Callable[[str], Harness],
) -> None:
    async def endpoint(request: Request) -> Response:
        get_logger("a").info("in a request")
        logging.getLogger("b").warning("in a request")
        return Response()

    first, second = new_harness("first"), new_harness("second")
    app = app_with(endpoint)
    first.instrument(app)
    second.instrument(Starlette())
    get_logger("a").info("outside")
    async with first.client(app) as client:
        await client.get("/")
    assert [e["message"] for e in first.events("app")] == ["in a request"] * 2
    assert [e["trace"] for e in first.events("app")] == [first.event("request")["trace"]] * 2
    assert [e["message"] for e in second.events("app")] == ["outside"]
    second.telemetries[0].close()
    get_logger("a").info("outside")
    assert len(first.events("app")) == 3


@pytest.mark.parametrize("late", [False, True])
async def test_an_exception_that_the_server_logs_is_one_line_with_the_trace(
    harness: Harness, *, late: bool
) -> None:
    async def boom() -> None:
        raise ValueError("bad")

    async def endpoint(request: Request) -> Response:
        if not late:
            await boom()
        return Response(background=BackgroundTask(boom))

    app = app_with(endpoint)
    harness.instrument(app)
    try:
        await app(http_scope("/"), receive_once(), ignore)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
        logging.getLogger("a").exception("a line of the application's own")
    lines = harness.events("app")[: 1 if late else 0] + [harness.event("request")] * (not late)
    assert [event["error"]["message"] for event in lines] == ["bad"]
    assert len(harness.events("app")) == 1 + late
    for event in harness.events("app"):
        assert (event["trace"], event["span"]) == (
            harness.event("request")["trace"],
            harness.event("request")["span"],
        )


@pytest.mark.parametrize("status", [500, 400])
async def test_an_exception_that_a_framework_logs_and_answers_is_one_line(
    harness: Harness, status: int
) -> None:
    async def as_django(request: Request) -> Response:
        try:
            float("bad")
        except ValueError:
            logging.getLogger("django.request").exception("%s: %s", "Internal Server Error", "/")
        return Response(status_code=status)

    await harness.get(as_django)
    lines = [event for event in harness.events() if event["event"]["dataset"] != "tidegate.span"]
    found = [
        (event["event"]["dataset"], event["error"]["message"])
        for event in lines
        if "error" in event
    ]
    assert found == [
        (
            "tidegate.request" if status == 500 else "tidegate.app",
            "could not convert string to float: 'bad'",
        )
    ]


@pytest.mark.parametrize("name", ["uvicorn.error", "litestar"])
async def test_an_application_s_own_line_at_a_logger_of_its_framework_is_kept(
    harness: Harness, name: str
) -> None:
    async def pay(request: Request) -> Response:
        try:
            float("bad")
        except ValueError as error:
            logging.getLogger(name).exception("%s not paid", 7, extra={"user_id": 3})
            raise HTTPException(502) from error
        return Response()

    await harness.get(pay)
    assert harness.event("request")["error"]["type"] == "ValueError"
    line = harness.event("app")
    assert (line["message"], line["tidegate"]) == ("7 not paid", {"user_id": 3})


async def test_what_django_logs_of_a_response_is_in_its_event(harness: Harness) -> None:
    async def busy(request: Request) -> Response:
        logging.getLogger("django.request").error("%s: %s", "Service Unavailable", "/")
        return Response(status_code=503)

    await harness.get(busy)
    assert harness.event("request")["log"]["level"] == "error"
    assert not harness.events("app")


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
    shop: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "%d", ("not a number",), None)
    logs.StandardLibraryHandler().emit(record)
    assert shop.events("app") == []
    assert "Logging error" in capsys.readouterr().err
