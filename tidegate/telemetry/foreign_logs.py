"""Log lines that do not pass through the standard library: of loguru, and JSON lines on standard output.

Libraries pass records to one another. Only the stack of a call says whose record a line is.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from traceback import walk_stack
from typing import Any, Final

_HANDLE: Final = logging.Handler.handle.__code__
_LOGURU_SINKS: Final = "loguru._simple_sinks"
_added: Final[list[int]] = []


def add_to_loguru(take: Callable[[Any], None]) -> None:
    """Take the records of INFO and above if the application uses loguru; also if it has removed all sinks."""
    remove_from_loguru()
    if (loguru := sys.modules.get("loguru")) is not None:
        _added.append(loguru.logger.add(take, level="INFO", format="{message}"))


def remove_from_loguru() -> None:
    """Take no more records."""
    while _added:
        with suppress(ValueError):  # the application has removed it
            sys.modules["loguru"].logger.remove(_added.pop())


def is_of_loguru() -> bool:
    """Whether loguru writes this line, and so passes its record to `add_to_loguru` as well."""
    stack = walk_stack(inspect.currentframe())
    return bool(_added) and any(
        frame.f_globals.get("__name__") == _LOGURU_SINKS for frame, _ in stack
    )


def handled_record() -> logging.LogRecord | None:
    """The record that a handler of the standard library prints, or passes on, in this call."""
    for frame, _ in walk_stack(inspect.currentframe()):
        if frame.f_code is _HANDLE:
            record: logging.LogRecord = frame.f_locals["record"]
            return record
    return None


class JsonOutput:
    """Standard output that is observed for lines of JSON: structlog's renderer prints such, for one.

    Args:
        output: where everything is written.
        on_line: gets each line of what is written at once and begins as an object.
    """

    def __init__(self, output: Any, on_line: Callable[[str], None]) -> None:
        self._output, self._on_line = output, on_line

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._output, name)
        return JsonOutput(found, self._on_line) if name == "buffer" else found

    def write(self, data: Any) -> Any:
        """Write it, and take its lines: libraries write whole ones."""
        written = self._output.write(data)
        is_text = isinstance(data, str)
        if data[:1] == ("{" if is_text else b"{"):
            for line in (data if is_text else bytes(data).decode("utf-8", "replace")).split("\n"):
                self._on_line(line)
        return written
