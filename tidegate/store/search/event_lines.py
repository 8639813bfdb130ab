"""Formats an event as one line of text."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final

from tidegate.events.event import Event
from tidegate.printable_text import printable
from tidegate.store.fields import TIMESTAMP, time_of
from tidegate.store.own_fields import decoded, own_fields
from tidegate.store.query import time_ranges

if TYPE_CHECKING:
    from rich.text import Text

_LEVELS: Final = {"error": "bold red", "warn": "yellow", "info": "green", "debug": "dim"}
_TONES: Final = {"error": "bad", "fatal": "bad", "warn": "warn", "warning": "warn"}
_NODE_WIDTH: Final = 11
# What is shown of the fields that an application added; --json shows all.
_OWN_FIELDS: Final = 8
_VALUE_WIDTH: Final = 40


def line(event: Event, now: datetime, zone: tzinfo | None = None) -> Text:
    """Return time, level, node and message, then the error, own fields and the trace id if present.

    An event of another day than `now` is shown with its date. Without a zone the times are local.
    """
    from rich.text import Text  # noqa: PLC0415  5 MB, which the console does without

    level = text_of(event, "log.level") or "-"
    trace = text_of(event, "trace.id")
    parts = Text()
    parts.append(_time(event, now, zone), style="dim")
    parts.append(f" {level.upper():5}", style=_LEVELS.get(level, ""))
    parts.append(f" {text_of(event, 'service.node.name') or '-':{_NODE_WIDTH}}", style="cyan")
    parts.append(f" {text_of(event, 'message')}")
    if error := shown_error(event):
        parts.append(f"  {error}", style="red")
    if shown := shown_own_fields(event):
        parts.append(f"  {shown}", style="dim")
    if trace:
        parts.append(f"  trace.id:{trace}", style="dim")
    return parts


def tone(event: Event) -> str:
    """Return `bad` or `warn` by the level of an event; empty if that is usual."""
    return _TONES.get(text_of(event, "log.level").lower(), "")


def shown_error(event: Event) -> str:
    """Return the type and the message of its error; empty if there is none, or if its message has them."""
    parts = (text_of(event, name) for name in ("error.type", "error.message"))
    error = ": ".join(part for part in parts if part)
    return "" if error in text_of(event, "message") else error


def shown_own_fields(event: Event) -> str:
    """Return the values that an application added to the event, such as `city=Kyiv price=12.5`."""
    shown = []
    for name, value in own_fields(event).values.values():
        text = printable(decoded(value))
        shown_name = printable(name.removeprefix("tidegate."))
        shown.append(
            f"{shown_name}={text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 1] + '…'}"
        )
    more = ["…"] if len(shown) > _OWN_FIELDS else []
    return " ".join(shown[:_OWN_FIELDS] + more)


def value_of(event: Mapping[str, Any], path: str) -> Any:
    """Return the value of a dotted field; None if it is missing."""
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_of(event: Mapping[str, Any], path: str) -> str:
    """Return the value of a dotted field as printable text; empty if it is missing."""
    value = value_of(event, path)
    return "" if value is None else printable(str(value))


def _time(event: Event, now: datetime, zone: tzinfo | None) -> str:
    at = time_of(event)
    if at is None:
        return printable(str(event.get(TIMESTAMP)))
    time = time_ranges.to_datetime(at)
    with suppress(OverflowError):  # midnight of the year 9999 in UTC is no time east of it
        time = time.astimezone(zone)
    clock = f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"
    same_day = time.date() == now.astimezone(zone).date()
    return clock if same_day else f"{time:%Y-%m-%d} {clock}"
