"""Log lines that do not pass through the standard library: of loguru, and JSON lines on standard output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, Final

_LOGURU: Final = "loguru"
_LOGURU_SINK: Final = "loguru._simple_sinks"
_MAX_FRAMES: Final = 30


class LoguruSink:
    """Takes loguru's records, INFO and above; those that come from or go to the standard library once.

    Args:
        write: gets a record of loguru (its documentation lists what is in it).
        handle: gets each record of the standard library that a handler passes to loguru.
    """

    def __init__(
        self, write: Callable[[dict[str, Any]], None], handle: Callable[[logging.LogRecord], None]
    ) -> None:
        self._write = write
        self._handle = handle
        self._id: int | None = None

    def install(self) -> None:
        """Add it to loguru's sinks if the application uses loguru; also if that has removed all sinks."""
        self.remove()
        if (loguru := sys.modules.get(_LOGURU)) is not None:
            self._id = loguru.logger.add(self._take, level="INFO", format="{message}")

    def remove(self) -> None:
        """Remove it."""
        if self._id is not None:
            with suppress(ValueError):  # the application has removed it
                sys.modules[_LOGURU].logger.remove(self._id)
            self._id = None

    def has(self, record: logging.LogRecord) -> bool:
        """Whether loguru sends this record to the standard library, and so to this sink as well."""
        return self._id is not None and "extra" in record.__dict__ and _is_called_by(_LOGURU_SINK)

    def _take(self, message: Any) -> None:
        if (passed := _record_in("logging", "handle")) is not None:
            self._handle(passed)
        else:
            self._write(message.record)


class JsonOutput:
    """Standard output whose lines of JSON are events, too: structlog's renderer prints such, for one.

    Args:
        output: where everything is written.
        write: gets each line that begins and ends as an object.
        handle: gets each record of the standard library of which a handler prints such a line.
    """

    def __init__(
        self,
        output: Any,
        write: Callable[[str], None],
        handle: Callable[[logging.LogRecord], None],
    ) -> None:
        self._output, self._on_line, self._on_record = output, write, handle

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._output, name)
        return JsonOutput(found, self._on_line, self._on_record) if name == "buffer" else found

    def __iter__(self) -> Any:
        return iter(self._output)

    def write(self, data: Any) -> Any:
        """Write it, and take its events: whole lines, as each library writes them."""
        written = self._output.write(data)
        text = data if isinstance(data, str) else bytes(data).decode("utf-8", "replace")
        for line in text.splitlines() if text[:1] == "{" else ():
            if line.startswith("{") and line.endswith("}") and not _is_called_by(_LOGURU_SINK):
                if (record := _record_in("logging", "emit")) is not None:
                    self._on_record(record)
                else:
                    self._on_line(line)
        return written

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)


def _record_in(module: str, function: str) -> logging.LogRecord | None:
    """The record that a function of the standard library, which has called this one, has at hand."""
    for frame in _callers():
        if frame.f_code.co_name == function and frame.f_globals.get("__name__") == module:
            record = frame.f_locals.get("record")
            return record if isinstance(record, logging.LogRecord) else None
    return None


def _is_called_by(module: str) -> bool:
    return any(frame.f_globals.get("__name__") == module for frame in _callers())


def _callers() -> Iterator[FrameType]:
    """The innermost frames: no library has more between its call and its output."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - nothing else says who prints
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
