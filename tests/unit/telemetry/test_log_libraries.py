"""Log lines of structlog, loguru and standard output become one event each, with their fields."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from typing import Any

import loguru
import pytest
import structlog
from starlette.applications import Starlette

from support.harnesses.telemetry_harness import Harness
from tidegate.telemetry import logs


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
