"""An event as one line for a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from rich.text import Text

from tidegate.events import Event
from tidegate.store import moments

_LEVELS: Final = {"error": "bold red", "warn": "yellow", "info": "green", "debug": "dim"}
_NODE_WIDTH: Final = 11


def line(event: Event, now: datetime, zone: tzinfo | None = None) -> Text:
    """When, how bad, who, what; then the error and the trace, if there are.

    Args:
        event: any event, also one that lacks every field.
        now: an event of another day shows its date too.
        zone: times are shown in it; None is this machine's.
    """
    level = text_of(event, "log.level") or "-"
    trace = text_of(event, "trace.id")
    parts = Text()
    parts.append(_time(event, now, zone), style="dim")
    parts.append(f" {level.upper():5}", style=_LEVELS.get(level, ""))
    parts.append(f" {text_of(event, 'service.node.name') or '-':{_NODE_WIDTH}}", style="cyan")
    parts.append(f" {text_of(event, 'message')}")
    error = ": ".join(
        part for name in ("error.type", "error.message") if (part := text_of(event, name))
    )
    if error and error not in parts.plain:
        parts.append(f"  {error}", style="red")
    if trace:
        parts.append(f"  trace.id:{trace}", style="dim")
    return parts


def value_of(event: Mapping[str, Any], path: str) -> Any:
    """The value of a dotted field; None if there is none."""
    held: Any = event
    for name in path.split("."):
        held = held.get(name) if isinstance(held, dict) else None
    return held


def text_of(event: Mapping[str, Any], path: str) -> str:
    """The value of a dotted field as text that a terminal can show; empty if there is none."""
    value = value_of(event, path)
    return "" if value is None else printable(str(value))


def printable(text: str) -> str:
    """The text without what a terminal would obey: whoever sends a request writes into our logs."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _time(event: Event, now: datetime, zone: tzinfo | None) -> str:
    written = str(event.get("@timestamp"))
    at = moments.microseconds(written)
    if at is None:
        return printable(written)
    moment = moments.to_datetime(at).astimezone(zone)
    clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    same_day = moment.date() == now.astimezone(zone).date()
    return clock if same_day else f"{moment:%Y-%m-%d} {clock}"
