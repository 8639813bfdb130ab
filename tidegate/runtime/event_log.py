"""The event log of a component: what happens there becomes event lines, and lines that a person sees."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, Protocol, Self, TextIO

from tidegate.events.event import Level, Origin, encode, make_event, timestamp
from tidegate.printable_text import printable
from tidegate.runtime.identity import event_origin, event_writer
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.settings import Settings

APP: Final = "app"
"""The dataset of log lines; these have a `log.logger`."""
RECENT: Final = 50
STACK_CHARACTERS: Final = 8192


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened."""

    at: float  # in seconds since 1970
    level: Level
    component: str  # the one that writes the log, or one that it runs
    action: str  # one word for searches
    message: str  # a sentence for a person


class Writer(Protocol):
    """Writes events and never raises: an `EventWriter` to files, a `StreamWriter` to a stream."""

    def write(self, event: Mapping[str, Any]) -> None:
        """Write one event."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


@dataclass(frozen=True, slots=True)
class StreamWriter:
    """Writes events to a stream, by default standard output, where a component has no event files."""

    stream: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)

    def write(self, event: Mapping[str, Any]) -> None:
        """Write one event; it is lost if the stream fails."""
        write_or_discard(self.stream, encode(event))

    def close(self) -> None:
        """Leave the stream open: it belongs to the process."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A listener that prints each entry as a line, by default on stderr."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def __call__(self, entry: Entry) -> None:
        """Print it; it is lost if the stream fails."""
        moment = timestamp(round(entry.at * 1e6) * 1000)
        line = printable(f"{moment} {entry.level} {entry.component}: {entry.message}")
        write_or_discard(self.stream, f"{line}\n")


@dataclass(slots=True)
class EventLog:
    """Writes each entry as an event, keeps the most recent ones, and passes them to the listeners.

    It never raises: a component must do its work also when it cannot report it. Not for several threads.

    Attributes:
        writer: where the events go.
        origin: the `service.*` fields of the events.
        dataset: their dataset, without `tidegate.`.
        listeners: called with each entry.
        clock_ns: nanoseconds since 1970.
        recent: the last entries, oldest first.
        faults: the number of `fault` calls.
    """

    writer: Writer
    origin: Origin
    dataset: str = APP
    listeners: list[Callable[[Entry], None]] = field(default_factory=list)
    clock_ns: Callable[[], int] = time.time_ns
    recent: deque[Entry] = field(default_factory=lambda: deque(maxlen=RECENT), init=False)
    faults: int = field(default=0, init=False)
    _conditions: dict[str, str] = field(default_factory=dict, init=False)
    _open: bool = field(default=True, init=False)

    @classmethod
    def to_files(cls, settings: Settings, node: str, dataset: str) -> Self:
        """A log that writes to the event files of a component.

        Raises:
            OSError: the folder of the event files cannot be made.
        """
        return cls(event_writer(settings, node), event_origin(settings, node), dataset)

    def record(
        self,
        action: str,
        message: str,
        *,
        level: Level = "info",
        component: str = "",
        fields: Mapping[str, Any] | None = None,
        dataset: str = "",
        event_id: str | None = None,
        at_ns: int | None = None,
        listed: bool = True,
    ) -> None:
        """Log one thing that happened.

        Args:
            action: `event.action`, one word for searches.
            message: a sentence for a person.
            level: `warn` for what is corrected without a person, `error` for what is not.
            component: which of several components; becomes `tidegate.component` and precedes the message.
            fields: further fields of the event, nested; they replace those of the same name.
            dataset: instead of the log's own.
            event_id: instead of a new random one.
            at_ns: when it happened, in nanoseconds since 1970, if not now.
            listed: whether it is among the recent entries and goes to the listeners.
        """
        at_ns = self.clock_ns() if at_ns is None else at_ns
        dataset = dataset or self.dataset
        if self._open:
            own: dict[str, Any] = {"event": {"action": action}}
            if dataset == APP:
                own["log"] = {"logger": f"tidegate.{self.origin.node}"}
            if component:
                own["tidegate"] = {"component": component}
            event = make_event(
                self.origin,
                dataset,
                f"{component}: {message}" if component else message,
                unix_ns=at_ns,
                level=level,
                event_id=event_id,
                fields={**own, **(fields or {})},
            )
            self.writer.write(event)
        if listed:
            self._list(Entry(at_ns / 1e9, level, component or self.origin.node, action, message))

    def condition(
        self, name: str, message: str, *, level: Level = "warn", action: str = "", cause: str = ""
    ) -> None:
        """Log a condition when it appears or changes, and not again while it lasts.

        Args:
            name: identifies the condition; also the action, unless that is given.
            message: a sentence for a person.
            level: as in `record`.
            action: `event.action`.
            cause: what changes when the condition does, if the message changes more often.
        """
        cause = cause or message
        if self._conditions.get(name) != cause:
            self._conditions[name] = cause
            self.record(action or name, message, level=level)

    def resolved(self, name: str, message: str, *, action: str = "") -> None:
        """Log that a condition has ended, if it had appeared."""
        if self._conditions.pop(name, None) is not None:
            self.record(action or name, message)

    def fault(self, name: str, error: Exception, wait_seconds: float | None = None) -> None:
        """Log and count an exception that is a mistake in Tidegate, as `keep_running` reports it.

        Its stack is in the event. `wait_seconds` are those until it runs again; None if it does not.
        """
        self.faults += 1
        again = "" if wait_seconds is None else f", and runs again in {wait_seconds:.1f} s"
        self.record(
            "fault",
            f"failed unexpectedly{again}: {error!r}",
            component=name,
            level="error",
            fields={
                "error": {
                    "type": type(error).__name__,
                    "message": str(error),
                    "stack_trace": "".join(traceback.format_exception(error))[-STACK_CHARACTERS:],
                }
            },
        )

    def close(self) -> None:
        """Write no further event; the listeners still get the entries."""
        self._open = False
        self.writer.close()

    def _list(self, entry: Entry) -> None:
        self.recent.append(entry)
        for listener in self.listeners:
            # A listener that fails must not stop the caller, which may keep other programs running.
            with suppress(Exception):
                listener(entry)
