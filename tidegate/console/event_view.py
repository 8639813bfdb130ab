"""How the pages show an event, and what they offer to do with it."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from tidegate.events.event import Event
from tidegate.printable_text import printable
from tidegate.store.fields import time_of as microseconds_of
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.requests import has_terms
from tidegate.store.search.event_lines import text_of, value_of

_LONG: Final = ("error.stack_trace", "message")  # with their line ends
# What events of one kind have in common.
_ALIKE: Final = (
    *("event.dataset", "log.level", "log.logger", "event.action", "event.outcome", "error.type"),
    *("tidegate.route", "http.response.status_code", "span.name"),
)
# A spreadsheet takes a text that begins with one of these for a formula.
_FORMULA: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # also in full width


def time_of(event: Event) -> str:
    """Return `@timestamp` in UTC with milliseconds; as it is written if it is no time."""
    at = microseconds_of(event)
    if at is None:
        return text_of(event, "@timestamp")
    time = time_ranges.to_datetime(at).isoformat(timespec="milliseconds")
    return time.replace("+00:00", "Z")


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


def rows_of(event: Event) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the text and the condition of each field; no condition if no query can have it."""
    for name, value in sorted(_fields_of(event)):
        plain = not isinstance(value, dict | list) and value not in (None, "") and has_terms(name)
        text = str(value) if name in _LONG else cell(value)
        yield name, text, condition(name, written(value)) if plain else ""


def _fields_of(event: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the dotted name and the value of each field; a list is one value."""
    for name, value in event.items():
        if isinstance(value, dict) and value:
            for below, item in _fields_of(value):
                yield f"{name}.{below}", item
        else:
            yield name, value


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


def pretty(value: object) -> str:
    """Return JSON for a person."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def csv_row(values: Sequence[object]) -> bytes:
    """Return a line of a CSV file, in which no text is a formula."""
    to = io.StringIO()
    csv.writer(to, lineterminator="\r\n").writerow([_safe(value) for value in values])
    return to.getvalue().encode()


def _safe(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = orjson.dumps(value).decode() if isinstance(value, dict | list | bool) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text
