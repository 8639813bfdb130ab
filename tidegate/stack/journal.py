"""What the stack tells: an event line for the store, and a short memory for whoever looks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from tidegate.events import EventWriter, Level, Origin, make_event
from tidegate.runtime.identity import event_origin, event_writer
from tidegate.settings import Settings

NODE: Final = "stack"
REMEMBERED: Final = 50


class Entry(BaseModel):
    """One thing that happened. `at` is in seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    at: float
    level: Level
    component: str
    action: str
    message: str


@dataclass(slots=True)
class Journal:
    """Writes each entry as an event of dataset `stack`, remembers the last ones, tells the listeners."""

    writer: EventWriter
    origin: Origin
    clock_ns: Callable[[], int] = time.time_ns
    listeners: list[Callable[[Entry], None]] = field(default_factory=list)
    recent: deque[Entry] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _open: bool = field(default=True, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Journal:
        """The journal of a stack with these settings."""
        return cls(event_writer(settings, NODE), event_origin(settings, NODE))

    def note(
        self,
        action: str,
        message: str,
        *,
        component: str = NODE,
        level: Level = "info",
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell it.

        Args:
            action: `event.action`, one word for searches: `start`, `ready`, `exit`, `resize` …
            message: a sentence for a person.
            component: whose.
            level: `warn` for what the stack puts right by itself, `error` for what it cannot.
            fields: further fields of the event line, nested.
        """
        now = self.clock_ns()
        entry = Entry(
            at=now / 1e9, level=level, component=component, action=action, message=message
        )
        self.recent.append(entry)
        if self._open:
            more = {"event": {"action": action}, "tidegate": {"component": component}}
            self.writer.write(
                make_event(
                    self.origin,
                    "stack",
                    f"{component}: {message}",
                    unix_ns=now,
                    level=level,
                    fields={**more, **(fields or {})},
                )
            )
        for listener in self.listeners:
            # A listener that fails must not stop the caller, which may be what keeps a program running.
            with suppress(Exception):
                listener(entry)

    def close(self) -> None:
        """Write no further event line: from here on there is no collector to deliver it."""
        self._open = False
        self.writer.close()
