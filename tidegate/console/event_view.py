"""How the pages show an event, and what they offer to do with it."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from tidegate.events.event import Event
from tidegate.printable_text import printable
from tidegate.settings import Settings
from tidegate.stack.supervisor.programs import url
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.requests import has_terms
from tidegate.store.search.event_lines import text_of, value_of
from tidegate.store.search.event_lines import time_of as microseconds_of

LEVELS: Final = {"error": "bad", "fatal": "bad", "warn": "warn", "warning": "warn"}
_LONG: Final = ("error.stack_trace", "message")  # with their line ends
# What events of one kind have in common.
_ALIKE: Final = (
    *("event.dataset", "log.level", "log.logger", "event.action", "event.outcome", "error.type"),
    *("tidegate.route", "http.response.status_code", "span.name"),
)
# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # also in full width


def tone(event: Event) -> str:
    """Return the class of the color of a line; empty if its level is usual."""
    return LEVELS.get(text_of(event, "log.level").lower(), "")


def time_of(event: Event) -> str:
    """Return `@timestamp` in UTC with milliseconds; as it is written if it is no time."""
    at = microseconds_of(event)
    return text_of(event, "@timestamp") if at is None else iso(time_ranges.to_datetime(at))


def iso(time: datetime) -> str:
    """Return a time in UTC with milliseconds."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(event: Event) -> float:
    """Return `@timestamp` in seconds since 1970; 0 if it is no time."""
    return (microseconds_of(event) or 0) / 1e6


def request_of(event: Event) -> str:
    """Return the method and the path of a request."""
    return f"{text_of(event, 'http.request.method')} {text_of(event, 'url.path')}"


def queued(event: Event) -> float:
    """Return the seconds that a request waited, by its replica or by the gateway; 0 if neither says."""
    waits = (value_of(event, f"tidegate.{name}") for name in ("queue_ns", "gateway.queue_ns"))
    return next((one / 1e9 for one in waits if isinstance(one, int | float) and one), 0.0)


def cell(value: object) -> str:
    """Return a value as text: a list or an object as JSON, nothing for a missing one."""
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return orjson.dumps(value).decode()
    return printable(str(value))


def rows_of(event: Event) -> list[tuple[str, str, str]]:
    """Return the name, the text and the condition of each field; no condition if no query can have it."""
    return [
        (name, cell(value) if name not in _LONG else str(value), _condition(name, value))
        for name, value in sorted(_fields_of(event))
    ]


def _fields_of(event: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the dotted name and the value of each field; a list is one value."""
    for name, value in event.items():
        if isinstance(value, dict) and value:
            for below, item in _fields_of(value):
                yield f"{name}.{below}", item
        else:
            yield name, value


def _condition(name: str, value: object) -> str:
    if isinstance(value, dict | list) or value in (None, "") or not has_terms(name):
        return ""
    return condition(name, written(value))


def written(value: object) -> str:
    """Return a value as the condition of a query has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def more_like(event: Event) -> str:
    """Return a query for events of the same kind."""
    values = ((name, value_of(event, name)) for name in _ALIKE)
    return " AND ".join(
        condition(name, str(value)) for name, value in values if isinstance(value, str | int)
    )


def command(query: str, since: str, until: str) -> str:
    """Return the command that shows the same events in a terminal."""
    # After `--` a query that begins with `-` is no option.
    options = ["--since", since, *(["--until", until] if until else [])]
    return shlex.join(["tidegate", "search", *options, "--", query])


def load(settings: Settings, scenario: str) -> str:
    """Return the command that sends requests to the service."""
    gateway = url(settings.stack.host, settings.gateway.port)
    words = ["tidegate", "loadgen", "run", scenario, "--url", gateway]
    if settings.replica_program:
        words += ["--method", "GET", "--path", "/"]
    elif (rows := settings.model.path / "samples.ndjson").is_file():
        words += ["--rows", str(rows)]
    return shlex.join(words)


def pretty(value: object) -> str:
    """Return JSON for a person."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def csv_row(values: Sequence[object]) -> str:
    """Return a line of a CSV file, in which no text is a formula."""
    to = io.StringIO()
    csv.writer(to, lineterminator="\r\n").writerow([_safe(value) for value in values])
    return to.getvalue()


def _safe(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text
