"""The search commands: `tidegate search`, `tidegate trace`, `tidegate logs`.

Each returns an exit code of grep: 0 if events were found, 1 if none were, 2 on an error.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import orjson
from rich.text import Text

from tidegate.events.event import Event
from tidegate.printable_text import printable
from tidegate.settings import Settings
from tidegate.store.base import (
    OWNER,
    EventStore,
    QueryError,
    SearchRequest,
    StoreUnavailableError,
    stream_of,
)
from tidegate.store.kinds import open_store
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search import event_lines, waterfall
from tidegate.store.search.completion import completions
from tidegate.store.search.event_lines import text_of
from tidegate.store.search.field_names import unknown_names
from tidegate.store.search.follower import Follower
from tidegate.store.search.traces import Trace
from tidegate.terminal_console import Console

DELIVERY_SECONDS: Final = 3.0
"""How long to look for a trace: the events of a request that has just ended are on their way."""
POLL_SECONDS: Final = 0.1
FOUND: Final = 0
INDENT: Final = 13
"""Of what does not fit on an event's first line in a terminal: the width of its time."""
NOT_FOUND: Final = 1
ERROR: Final = 2
FOLLOW_SECONDS: Final = 0.5


def search(
    settings: Settings, query: str, *, since: str, until: str, limit: int, as_json: bool
) -> int:
    """Show the newest matching events, at most `limit`, oldest first; empty `until` means no end."""

    def run(store: EventStore, output: _Output) -> int:
        request = SearchRequest(
            query=query,
            since=time_ranges.when(since, output.now),
            until=time_ranges.when(until, output.now) if until else None,
            size=limit,
            stream=stream_of(query),
        )
        found = store.search(request)
        output.events(reversed(found.hits))
        if not found.total:
            times = f"since {since} until {until}" if until else f"since {since}"
            return _report_not_found(store, f"no event {times} matches {query!r}", request)
        if found.total > len(found.hits) and not as_json:
            _print_message(
                f"{found.total} events match; showing the newest {len(found.hits)} (--limit)"
            )
        return FOUND

    return _run(settings, as_json, run)


def trace(settings: Settings, trace_id: str, *, as_json: bool) -> int:
    """Show a trace: its spans as a waterfall, then its other events."""

    def run(store: EventStore, output: _Output) -> int:
        found = Trace.read(store, trace_id)
        deadline = time.monotonic() + DELIVERY_SECONDS
        while not found.events and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            found = Trace.read(store, trace_id)
        if as_json:
            output.events(found.events)
        else:
            _show_trace(output, found, settings.telemetry.sample_ratio)
        if not found.events:
            return _report_not_found(store, f"no event has the trace.id {found.id}")
        return FOUND

    return _run(settings, as_json, run)


def logs(settings: Settings, query: str, *, since: str, follow: bool, as_json: bool) -> int:
    """Show every matching event, oldest first; with `follow` also those that arrive later."""

    def run(store: EventStore, output: _Output) -> int:
        begin = time_ranges.when(since, output.now)
        follower = Follower(store, query, begin)
        if follow:
            _follow(follower, output)
        elif not output.events(follower.events()):
            message = f"no event since {since} matches {query!r}"
            return _report_not_found(store, message, SearchRequest(query, since=begin))
        return FOUND

    return _run(settings, as_json, run)


class _Output:
    """Prints events: colored in a terminal, plain in a pipe, or as JSON."""

    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.now = datetime.now(UTC)
        self.console = _Terminal(highlight=False)

    def events(self, events: Iterable[Event]) -> int:
        """Print the events and return their number."""
        count = 0
        for event in events:
            if self.as_json:
                sys.stdout.write(orjson.dumps(event).decode() + "\n")
            else:
                self.text(event_lines.line(event, self.now))
            count += 1
        sys.stdout.flush()
        return count

    def text(self, text: Text | str) -> None:
        """Print a line."""
        self.console.print_line(text, INDENT)


class _Terminal(Console):
    """A console that raises BrokenPipeError instead of exiting."""

    def on_broken_pipe(self) -> None:
        """Let the caller handle a closed pipe."""
        raise BrokenPipeError


def _run(settings: Settings, as_json: bool, run: Callable[[EventStore, _Output], int]) -> int:
    try:
        with closing(open_store(settings, read_only=True)) as store:
            return run(store, _Output(as_json))
    except BrokenPipeError:
        # Otherwise Python reports the error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    except (QueryError, StoreUnavailableError, ValueError) as error:
        _print_message(str(error))
        return ERROR


def complete(settings: Settings, incomplete: str) -> list[str]:
    """Return the completions of a query: the fields that its last word begins, or their values."""
    with closing(open_store(settings, read_only=True)) as store:
        return completions(store, incomplete)


def _follow(follower: Follower, output: _Output) -> None:
    """Follow until Ctrl-C. An unavailable store is reported once and retried."""
    unavailable = False
    try:
        while True:
            try:
                output.events(follower.events())
                unavailable = False
            except StoreUnavailableError as error:
                if not unavailable:
                    _print_message(f"{error} (retrying)")
                unavailable = True
            time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


def _show_trace(output: _Output, trace: Trace, sample_ratio: float) -> None:
    spans = [span for _, span in trace.spans]
    if spans:
        whole = waterfall.duration(trace.extent[1])
        count = "1 span" if len(spans) == 1 else f"{len(spans)} spans"
        output.text(Text(f"trace {trace.id}  {whole}  {count}", style="bold"))
        for line in waterfall.draw(spans, output.console.width):
            output.text(line)
    elif trace.lines:
        output.text(
            f"The spans of trace {trace.id} were not sampled: spans are recorded for errors, slow requests "
            f"and {sample_ratio:.0%} of the other requests (telemetry.sample_ratio). To record a request, "
            f"send it with the header `traceparent: 00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01`: "
            "the first number is the trace id, and the 01 at the end requests sampling. Events of the trace:"
        )
    if spans and trace.lines:
        output.text("")
    output.events(trace.lines)


def _report_not_found(store: EventStore, message: str, request: SearchRequest | None = None) -> int:
    _print_message(message)
    if request is None:
        return NOT_FOUND
    for name, similar in unknown_names(store, request.query):
        _print_message(
            f"no event has a field {name}" + (f": did you mean {similar}?" if similar else "")
        )
    for hit in store.search(replace(request, size=1, everyone=True)).hits:
        conditions = (condition(name, text_of(hit, name)) for name in OWNER)
        _print_message(
            f"other services have such events: add {' AND '.join(conditions)} to see them"
        )
    return NOT_FOUND


def _print_message(message: str) -> None:
    for line in message.splitlines():
        sys.stderr.write(f"{printable(line)}\n")
