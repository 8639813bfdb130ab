from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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


def as_django(error: Exception) -> None:
    logger = logging.getLogger("django.request")
    logger.error("%s: %s", "Internal Server Error", "/", exc_info=error)


def log_exception(error: Exception) -> None:
    """As the method of this name of an application of Flask or Quart, whose name its logger has."""
    logging.getLogger("shop").error("Exception on / [GET]", exc_info=error)


@pytest.mark.parametrize("log", [as_django, log_exception])
@pytest.mark.parametrize("status", [500, 400])
async def test_an_exception_that_a_framework_logs_and_answers_is_one_line(
    harness: Harness, status: int, log: Callable[[Exception], None]
) -> None:
    async def answer(request: Request) -> Response:
        try:
            float("bad")
        except ValueError as error:
            log(error)
        return Response(status_code=status)

    await harness.get(answer)
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
