"""The commands that search: `tidegate search`, `tidegate trace`, `tidegate logs`.

Exit codes as grep's: 0 something was found, 1 nothing was, 2 the question or the store is at fault.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import orjson
from rich.console import Console
from rich.text import Text

from tidegate.events import Event
from tidegate.settings import Settings
from tidegate.store import lines, lucene, moments, tree, waterfall
from tidegate.store.base import (
    EventStore,
    QueryError,
    SearchRequest,
    StoreUnavailableError,
)
from tidegate.store.fields import catalogue
from tidegate.store.following import Follower
from tidegate.store.opening import open_store
from tidegate.store.requests import MAX_HITS

FOUND: Final = 0
NOTHING: Final = 1
TROUBLE: Final = 2
FOLLOW_SECONDS: Final = 0.5
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def search(
    settings: Settings, query: str, *, since: str, until: str, limit: int, as_json: bool
) -> int:
    """Show the newest events that match, oldest first.

    Args:
        settings: which store.
        query: a Lucene query string; empty means everything.
        since: how far back, `5m` or a moment.
        until: up to when; empty means now and later.
        limit: events shown, at most.
        as_json: one JSON object a line.

    Returns:
        The exit code.
    """

    def ask(store: EventStore, show: _Show) -> int:
        request = SearchRequest(
            query=query,
            since=moments.when(since, show.now),
            until=moments.when(until, show.now) if until else None,
            size=limit,
        )
        found = store.search(request)
        show.events(reversed(found.hits))
        if not found.total:
            return _nothing(f"no event since {since}{_until(until)} matches {query!r}", query)
        if found.total > len(found.hits) and not as_json:
            _say(f"{found.total} events match; these are the newest {len(found.hits)} (--limit)")
        return FOUND

    return _run(settings, as_json, ask)


def trace(settings: Settings, trace_id: str, *, as_json: bool) -> int:
    """Show a trace: its spans as a waterfall, then its other events.

    Returns:
        The exit code.
    """

    def ask(store: EventStore, show: _Show) -> int:
        wanted = trace_id.strip().lower()
        if not _TRACE_ID.fullmatch(wanted):
            raise ValueError(f"{trace_id!r} is no trace id: that is 32 hexadecimal digits")
        query = f"trace.id:{wanted}"
        found = store.search(SearchRequest(query=query, order="asc", size=MAX_HITS))
        if as_json:
            show.events(found.hits)
        else:
            _show_trace(show, wanted, found.hits, settings.telemetry.sample_ratio)
        if not found.hits:
            return _nothing(f"no event has the trace.id {wanted}", "")
        return FOUND

    return _run(settings, as_json, ask)


def logs(settings: Settings, query: str, *, since: str, follow: bool, as_json: bool) -> int:
    """Show every event that matches, oldest first; with `follow` also those that come.

    Returns:
        The exit code.
    """

    def ask(store: EventStore, show: _Show) -> int:
        follower = Follower(store, query, moments.when(since, show.now))
        if follow:
            _follow(follower, show)
        elif not show.events(follower.events()):
            return _nothing(f"no event since {since} matches {query!r}", query)
        return FOUND

    return _run(settings, as_json, ask)


class _Show:
    """Prints events: coloured in a terminal, plain in a pipe, or as JSON."""

    def __init__(self, as_json: bool):
        self.as_json = as_json
        self.now = datetime.now(UTC)
        self.console = _Terminal(highlight=False, soft_wrap=True)

    def events(self, events: Iterable[Event]) -> int:
        """Print them; how many they were."""
        count = 0
        for event in events:
            if self.as_json:
                sys.stdout.write(orjson.dumps(event).decode() + "\n")
            else:
                self.text(lines.line(event, self.now))
            count += 1
        sys.stdout.flush()
        return count

    def text(self, text: Text | str) -> None:
        """Print a line."""
        self.console.print(text, markup=False)


class _Terminal(Console):
    """A console that leaves a closed pipe to us."""

    def on_broken_pipe(self) -> None:
        """Whoever read our output has had enough."""
        raise BrokenPipeError


def _run(settings: Settings, as_json: bool, ask: Callable[[EventStore, _Show], int]) -> int:
    try:
        with closing(open_store(settings, read_only=True)) as store:
            return ask(store, _Show(as_json))
    except BrokenPipeError:
        # Else Python complains once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND
    except (QueryError, StoreUnavailableError, ValueError) as error:
        _say(str(error))
        return TROUBLE


def _follow(follower: Follower, show: _Show) -> None:
    """Until a Ctrl-C. A store that is away is said once, and waited for."""
    away = False
    try:
        while True:
            try:
                show.events(follower.events())
                away = False
            except StoreUnavailableError as error:
                if not away:
                    _say(f"{error} (waiting)")
                away = True
            time.sleep(FOLLOW_SECONDS)
    except KeyboardInterrupt:
        return


def _show_trace(show: _Show, trace_id: str, events: list[Event], sample_ratio: float) -> None:
    spans = [event for event in events if lines.value_of(event, "data_stream.type") == "traces"]
    others = [event for event in events if lines.value_of(event, "data_stream.type") != "traces"]
    if spans:
        drawn = [waterfall.span_of(event) for event in spans]
        whole = max(span.end_ns for span in drawn) - min(span.start_ns for span in drawn)
        count = "1 span" if len(drawn) == 1 else f"{len(drawn)} spans"
        show.text(Text(f"trace {trace_id}  {waterfall.duration(whole)}  {count}", style="bold"))
        for line in waterfall.draw(drawn, show.console.width):
            show.text(line)
    elif others:
        show.text(
            f"The spans of trace {trace_id} were not kept: those of errors and slow requests are, and those "
            f"of {sample_ratio:.0%} of the others (telemetry.sample_ratio). To keep those of one request, "
            f"send it with the header `traceparent: 00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01`: "
            "the first number is the trace id, the 01 at the end asks to keep it. Its events:"
        )
    if spans and others:
        show.text("")
    show.events(others)


def _nothing(sentence: str, query: str) -> int:
    _say(sentence)
    for name in sorted(tree.fields(lucene.parse(query))):
        if hint := _hint(name):
            _say(hint)
    return NOTHING


def _hint(name: str) -> str:
    """What to say of a field that no event can be searched by; empty if it is one that can."""
    known = catalogue()
    if name in known or any(path.startswith(f"{name}.") for path in known):
        return ""
    close = difflib.get_close_matches(name, known, n=1)
    meant = f": did you mean {close[0]}?" if close else ""
    return f"{name} is no field that can be searched{meant}"


def _until(until: str) -> str:
    return f" until {until}" if until else ""


def _say(sentence: str) -> None:
    for line in sentence.splitlines():
        sys.stderr.write(f"{lines.printable(line)}\n")
