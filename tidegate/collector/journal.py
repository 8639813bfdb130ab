"""What the collector tells: an event line, which it delivers like any other, and a line on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from tidegate.events import EventWriter, Level, Origin, make_event
from tidegate.runtime.terminal_output import write_or_discard

NODE: Final = "collector"


@dataclass(slots=True)
class Journal:
    """Writes an event for each thing that happens.

    Attributes:
        writer: where events go.
        origin: who writes them.
        clock_ns: nanoseconds since 1970.
        terminal: where a person may look.
    """

    writer: EventWriter
    origin: Origin
    clock_ns: Callable[[], int] = time.time_ns
    terminal: TextIO = field(default_factory=lambda: sys.stderr)

    def say(
        self, action: str, message: str, *, level: Level = "info", **fields: Mapping[str, Any]
    ) -> None:
        """Tell it.

        Args:
            action: `event.action`, one word for searches.
            message: a sentence for a person.
            level: `warn` for what passes by itself, `error` for what is lost to searches.
            fields: further fields, nested.
        """
        more = {"event": {"action": action}, **fields}
        self.writer.write(
            make_event(
                self.origin,
                "collector",
                message,
                unix_ns=self.clock_ns(),
                level=level,
                fields=more,
            )
        )
        write_or_discard(self.terminal, f"collector: {message}\n")
