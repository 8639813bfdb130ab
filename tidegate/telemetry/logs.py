"""Application logs as `app` events: structlog's, and the standard library's from WARNING on.

Loggers are process-wide, apps are not: a line goes to the app whose request it was logged in; outside
a request to the app instrumented last.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

import structlog
from structlog.typing import FilteringBoundLogger

from tidegate.events.event import Level, Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.telemetry.event_lines import error_fields
from tidegate.telemetry.request_record import AppLog, Clock, current_ids, position

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
_SEEN: Final = "_tidegate_seen"


class EventSink:
    """Writes the log lines of one app."""

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
        more: dict[str, Any] = {"log": {"logger": logger}}
        if ids is not None:
            more["trace"], more["span"] = {"id": ids[0]}, {"id": ids[1]}
        if fields:
            more["tidegate"] = dict(fields)
        if error is not None:
            more["error"] = error_fields(error)
        self._writer.write(
            make_event(
                self._origin(),
                "app",
                message,
                unix_ns=self._clock.wall_ns(),
                level=level,
                fields=more,
            )
        )


_open_sinks: list[weakref.ref[EventSink]] = []


def open_sink(sink: EventSink) -> None:
    """Make the sink the one for lines outside a request."""
    close_sink(sink)
    _open_sinks.append(weakref.ref(sink))


def close_sink(sink: EventSink) -> None:
    """Give lines outside a request back to the app instrumented before."""
    _open_sinks[:] = [held for held in _open_sinks if held() not in (sink, None)]


def _current_sink() -> AppLog | None:
    here = position.get()
    if here is not None:
        return here.record.sink
    for held in reversed(_open_sinks):
        sink = held()
        if sink is not None:
            return sink
    return None


def remember_ids(error: BaseException, ids: Ids) -> None:
    """Let a server that logs this exception after the request is over still log its trace."""
    with suppress(Exception):  # an exception with __slots__ takes no attribute
        setattr(error, _IDS_ATTRIBUTE, ids)


class StructlogSink:
    """What structlog takes for a logger: its methods get what the last processor returns."""

    def __init__(self, name: str) -> None:
        self._name = name

    def msg(self, level: Level, message: str, fields: dict[str, Any]) -> None:
        """Write one line."""
        error = _exception_of(fields.pop("exc_info", None))
        sink = _current_sink()
        if sink is None:
            # No app is instrumented: the line still has to appear somewhere.
            logging.getLogger(self._name).log(
                _STDLIB_LEVELS[level], "%s %s", message, fields, exc_info=error
            )
            return
        sink.write(self._name, level, message, fields, error=error, ids=current_ids())

    debug = info = warning = warn = error = exception = critical = fatal = log = msg


def _render(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[Level, str, dict[str, Any]], dict[str, Any]]:
    """The last processor: structlog's event dict as the arguments of `StructlogSink.msg`."""
    fields = dict(event)
    message = str(fields.pop("event", ""))
    return (_LEVELS.get(method, "info"), message, fields), {}


_PROCESSORS: Final[list[Any]] = [structlog.contextvars.merge_contextvars, _render]
_WRAPPER: Final = structlog.make_filtering_bound_logger(logging.INFO)


def get_logger(name: str) -> FilteringBoundLogger:
    """A structlog logger whose lines (INFO and above) become `app` events.

    In a request they carry its `trace.id` and `span.id`. Keywords go under `tidegate`:
    `get_logger("flights").info("model loaded", model={"version": "3"})`.
    """
    logger: FilteringBoundLogger = structlog.wrap_logger(
        StructlogSink(name), processors=_PROCESSORS, wrapper_class=_WRAPPER
    )
    return logger


class StandardLibraryHandler(logging.Handler):
    """Turns the standard library's log records into `app` events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, once, whichever loggers such handlers hang on."""
        if record.__dict__.get(_SEEN):
            return
        record.__dict__[_SEEN] = True
        error = _exception_of(record.exc_info)
        try:
            sink = _current_sink()
            if sink is not None:
                ids = current_ids() or getattr(error, _IDS_ATTRIBUTE, None)
                level = _level_of(record.levelno)
                sink.write(record.name, level, record.getMessage(), error=error, ids=ids)
        except Exception:  # noqa: BLE001 - a bad log call must not break its caller
            self.handleError(record)


class RootHandler(StandardLibraryHandler):
    """On the root logger, where Python's own last resort fell silent by our being there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and show it on stderr while nobody else does."""
        super().emit(record)
        if logging.lastResort is not None and logging.getLogger().handlers == [self]:
            logging.lastResort.handle(record)


_root_handler: Final = RootHandler(logging.WARNING)
# uvicorn says when it starts and stops, and does not pass its records on to the root.
_uvicorn_handler: Final = StandardLibraryHandler(logging.INFO)
_HANDLERS: Final = (("", _root_handler), ("uvicorn.error", _uvicorn_handler))


def set_up_logging() -> None:
    """Hang the handlers on the loggers; again at start-up, as uvicorn's configuration takes them off."""
    for name, handler in _HANDLERS:
        logging.getLogger(name).addHandler(handler)  # a second time changes nothing
    if not structlog.is_configured():
        structlog.configure(
            processors=_PROCESSORS,
            wrapper_class=_WRAPPER,
            logger_factory=lambda *names: StructlogSink(str(names[0]) if names else "app"),
            cache_logger_on_first_use=True,
        )


def take_down_logging() -> None:
    """Take the handlers off once no app is left to write for."""
    if not any(held() is not None for held in _open_sinks):
        for name, handler in _HANDLERS:
            logging.getLogger(name).removeHandler(handler)


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
