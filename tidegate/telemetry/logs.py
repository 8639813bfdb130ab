"""Application logs as `app` events: of structlog, and of the standard library by the root logger's level.

Loggers are global to the process, applications are not. A record goes to the application whose request it was
logged in; outside a request, to the application that was instrumented last.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import orjson
import structlog
from structlog.typing import FilteringBoundLogger

from tidegate.events.event import Level, Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.telemetry.foreign_logs import (
    JsonOutput,
    add_to_loguru,
    handled_record,
    is_of_loguru,
    remove_from_loguru,
)
from tidegate.telemetry.request_event import error_fields
from tidegate.telemetry.request_record import Clock, current_ids, current_request, hold_log

Ids = tuple[str, str]

_LEVELS: Final[Mapping[str, Level]] = {
    "debug": "debug",
    "info": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "exception": "error",
    "critical": "error",
    "fatal": "error",
}
_STDLIB_LEVELS: Final[Mapping[Level, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}
_IDS_ATTRIBUTE: Final = "__tidegate_ids__"
_RECORDED: Final = "__tidegate_recorded__"
_HANDLED: Final = "_tidegate_handled"
_OF_RESPONSES: Final[Mapping[str, str]] = {
    "django.request": "%s: %s",
    "hypercorn.error": "Error in ASGI Framework",
    "litestar": "Uncaught exception",
    "uvicorn.error": "Exception in ASGI application",
}
"""How lines begin by which servers and frameworks log responses and their exceptions, by the logger."""
_ACCESS: Final = ".access"
"""The end of the names of access logs (uvicorn, aiohttp): they have query strings and clients' addresses."""
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
"""Attributes of each log record, of its formatters, and of uvicorn for a terminal."""
_OF_A_LINE: Final = frozenset(
    {"level", "levelname", "severity", "logger", "timestamp", "time", "asctime"}
)
"""Names in an object that is a log line itself, of texts that the event has under names of its own."""
_WEBSOCKET: Final = '"WebSocket'
"""In the format of uvicorn's access log of websockets (`uvicorn.error`), which has the query string."""


class EventSink:
    """Writes the log records of one application."""

    def __init__(self, writer: EventWriter, origin: Callable[[], Origin], clock: Clock) -> None:
        self._writer = writer
        self._origin = origin
        self._clock = clock

    def write(
        self,
        logger: str,
        level: Level,
        message: str,
        fields: Mapping[str, Any] | None = None,
        *,
        error: BaseException | None = None,
        ids: Ids | None = None,
    ) -> None:
        """Write an `app` event; `fields` go under `tidegate`."""
        event_fields: dict[str, Any] = {"log": {"logger": logger}}
        if ids is not None:
            event_fields["trace"], event_fields["span"] = {"id": ids[0]}, {"id": ids[1]}
        if fields:
            event_fields["tidegate"] = dict(fields)
        if error is not None:
            event_fields["error"] = error_fields(error)
        self._writer.write(
            make_event(
                self._origin(),
                "app",
                message,
                unix_ns=self._clock.wall_ns(),
                level=level,
                fields=event_fields,
            )
        )


_open_sinks: list[weakref.ref[EventSink]] = []


def open_sink(sink: EventSink) -> None:
    """Use this sink for records from outside a request."""
    close_sink(sink)
    _open_sinks.append(weakref.ref(sink))


def close_sink(sink: EventSink) -> None:
    """Stop using this sink; the application instrumented before gets the records from outside a request."""
    _open_sinks[:] = [each for each in _open_sinks if each() not in (sink, None)]


def _writer(error: BaseException | None = None) -> Callable[..., None] | None:
    """What writes a record, with this exception; None if no application is instrumented."""
    active = current_request.get()
    sinks = (sink.write for reference in reversed(_open_sinks) if (sink := reference()))
    write = next(sinks, None) if active is None else active.record.write_log
    ids = current_ids() or getattr(error, _IDS_ATTRIBUTE, None)
    return write and partial(write, error=error, ids=ids)


def attach_ids(error: BaseException, ids: Ids, *, recorded: bool = False) -> None:
    """Attach the ids of its request to an exception, for a server that logs it after the request ended.

    `recorded`: the request's event has the exception, so that line says nothing new.
    """
    known = getattr(error, _IDS_ATTRIBUTE, None)
    with suppress(Exception):  # an exception with __slots__ accepts no attributes
        setattr(error, _IDS_ATTRIBUTE, ids)
        setattr(error, _RECORDED, recorded or (known == ids and getattr(error, _RECORDED)))


def is_recorded(error: BaseException | None) -> bool:
    """Whether its request's event has the exception."""
    return bool(getattr(error, _RECORDED, False))


class StructlogSink:
    """The logger that structlog wraps: its methods receive the result of the last processor."""

    def __init__(self, name: str) -> None:
        self._name = name

    def msg(self, level: Level, message: str | None = None, fields: Any = None) -> None:
        """Write one record; if the application has configured another last processor, its text."""
        if message is None:
            _write_line(str(level), self._name)
            return
        error = _exception_of(fields.pop("exc_info", None))
        write = _writer(error)
        if write is None:
            # No application is instrumented: pass the record to the standard library.
            logging.getLogger(self._name).log(
                _STDLIB_LEVELS[level], "%s %s", message, fields, exc_info=error
            )
            return
        write(self._name, level, message, fields)

    debug = info = warning = warn = error = exception = critical = fatal = log = msg


def _render(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Level, str, dict[str, Any]], dict[str, Any]]:
    """The last processor: converts structlog's event dict to the arguments of `StructlogSink.msg`."""
    fields = dict(event)
    message = str(fields.pop("event", ""))
    return (_LEVELS.get(method, "info"), message, fields), {}


_PROCESSORS: Final[list[Any]] = [structlog.contextvars.merge_contextvars, _render]
_WRAPPER: Final = structlog.make_filtering_bound_logger(logging.INFO)


def get_logger(name: str) -> FilteringBoundLogger:
    """A structlog logger whose records (INFO and above) become `app` events.

    In a request they have its `trace.id` and `span.id`. Keyword arguments go under `tidegate`:
    `get_logger("flights").info("model loaded", model={"version": "3"})`.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        StructlogSink(name), processors=_PROCESSORS, wrapper_class=_WRAPPER
    )
    return logger


class StandardLibraryHandler(logging.Handler):
    """Writes log records of the standard library as `app` events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record once, even if such a handler is attached to several of its loggers."""
        if record.__dict__.get(_HANDLED):
            return
        record.__dict__[_HANDLED] = True
        if record.name == "uvicorn.error" and _WEBSOCKET in str(record.msg):
            return
        try:
            self._write(record)
        except Exception:  # noqa: BLE001 - an invalid log call must not break its caller
            self.handleError(record)

    def _write(self, record: logging.LogRecord) -> None:
        message, fields = _content(record)
        error = _exception_of(record.exc_info) or _exception_of(fields.pop("exc_info", None))
        write = _writer(error)
        if write is None or ("extra" in record.__dict__ and is_of_loguru()):
            return
        write = partial(write, record.name, _level_of(record.levelno), message, fields)
        # Flask's and Quart's loggers have the name of the application.
        begin = _OF_RESPONSES.get(
            record.name, "Exception on " if record.funcName == "log_exception" else None
        )
        repeats = begin is not None and str(record.msg).startswith(begin)
        if not repeats or not (is_recorded(error) or hold_log(error, write)):
            write()


class RootHandler(StandardLibraryHandler):
    """The handler of the root logger. With a handler there, Python no longer uses its last resort, stderr.

    The root logger's own level decides, WARNING by default: one library whose logger is set to DEBUG does not
    fill the event file.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and print it on stderr if no other handler is attached."""
        root, last = logging.getLogger(), logging.lastResort
        # Access logs (uvicorn.access, aiohttp.access) have query strings and clients' addresses.
        if record.levelno >= root.level and not record.name.endswith(_ACCESS):
            super().emit(record)
        if last is not None and record.levelno >= last.level and root.handlers == [self]:
            last.handle(record)


_root_handler: Final = RootHandler()
# uvicorn logs its start and stop, and does not propagate its records to the root logger.
_uvicorn_handler: Final = StandardLibraryHandler(logging.INFO)
_HANDLERS: Final = (("", _root_handler), ("uvicorn.error", _uvicorn_handler))


def _content(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """The message of a record and its fields: of `extra`, of an object that is logged, of a line of JSON."""
    fields = {
        name: value
        for name, value in record.__dict__.items()
        if name not in _STANDARD and not name.startswith("_")
    }
    # Django adds the request, whose text has the path.
    if not isinstance(fields.get("request", ""), str | int | Mapping):
        del fields["request"]
    logged, text = record.msg, record.getMessage()
    # structlog's `wrap_for_formatter` logs its event dict.
    found = logged if isinstance(logged, Mapping) else parse_line(text)
    if not found:
        return text, fields
    message, own = _of_object(found, text)
    return message, fields | own


def parse_line(text: str) -> dict[str, Any]:
    """The object in a line of JSON; empty if it is none."""
    if text[:1] != "{":
        return {}
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _of_object(found: Mapping[Any, Any], text: str) -> tuple[str, dict[str, Any]]:
    """The message of a log line that is an object, by default its text, and its fields."""
    fields = {
        str(name): value
        for name, value in found.items()
        if name not in _OF_A_LINE or not isinstance(value, str)
    }
    names = [name for name in ("event", "message", "msg") if name in fields]
    return str(fields.pop(names[0])) if names else text, fields


def _write_loguru(message: Any) -> None:
    """Write a record of loguru (its documentation lists what is in it), or the one that was passed to it."""
    if (passed := handled_record()) is not None:
        _write_of_handler(passed)
        return
    record = message.record
    write = _writer(record["exception"].value if record["exception"] else None)
    if write is not None:
        level = _level_of(record["level"].no)
        write(record["name"] or "loguru", level, record["message"], record["extra"])


def _write_printed(line: str) -> None:
    """Write a printed line of JSON, or the record that it shows."""
    if not parse_line(line) or is_of_loguru():
        return
    if (shown := handled_record()) is not None:
        _write_of_handler(shown)
    else:
        _write_line(line, "stdout")


def _write_line(line: str, logger: str) -> None:
    """Write a line of JSON, or of text."""
    if (write := _writer()) is None:
        return
    found = parse_line(line)
    given = next((found[name] for name in ("level", "levelname", "severity") if name in found), "")
    level = _LEVELS.get(str(given).lower(), "info")
    write(str(found.get("logger", logger)), level, *_of_object(found, line))


def watch_output() -> None:
    """Make each line of JSON that the application prints an event, unless it is one already.

    For a process that serves one application, before that is imported: loggers keep their stream.
    """
    sys.stdout = JsonOutput(sys.stdout, _write_printed)


def _write_of_handler(record: logging.LogRecord) -> None:
    if not record.name.endswith(_ACCESS):
        _uvicorn_handler.emit(record)


def install_log_handlers() -> None:
    """Attach the handlers; also at startup, because uvicorn's configuration removes them."""
    for name, handler in _HANDLERS:
        logger = logging.getLogger(name)
        logger.removeHandler(handler)
        # First: a `QueueHandler` copies the record for another thread, which may print it.
        logger.handlers.insert(0, handler)
    add_to_loguru(_write_loguru)
    if not structlog.is_configured():
        structlog.configure(
            processors=_PROCESSORS,
            wrapper_class=_WRAPPER,
            logger_factory=lambda *names: StructlogSink(str(names[0]) if names else "app"),
            cache_logger_on_first_use=True,
        )


def remove_log_handlers() -> None:
    """Remove the handlers when no application is open."""
    if not any(reference() is not None for reference in _open_sinks):
        for name, handler in _HANDLERS:
            logging.getLogger(name).removeHandler(handler)
        remove_from_loguru()


def _exception_of(exc_info: Any) -> BaseException | None:
    if exc_info is True:
        exc_info = sys.exc_info()
    if isinstance(exc_info, tuple) and len(exc_info) == 3:
        exc_info = exc_info[1]
    return exc_info if isinstance(exc_info, BaseException) else None


def _level_of(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"
