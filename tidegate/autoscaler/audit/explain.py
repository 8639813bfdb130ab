"""`tidegate explain`: the last decisions of the autoscaler, and why.

Exit codes as grep's: 0 found, 1 nothing found, 2 the store failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Final

import orjson
from rich.table import Table
from rich.text import Text

from tidegate.autoscaler.audit.intervals import QUERY, SIGNALS, Interval, merge_unchanged
from tidegate.events.event import Event
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, SearchRequest, StoreUnavailableError
from tidegate.store.kinds import open_store
from tidegate.store.query import time_ranges
from tidegate.store.requests import MAX_HITS
from tidegate.store.search.event_lines import text_of
from tidegate.terminal_console import Console

FOUND, NOTHING, TROUBLE = 0, 1, 2
Group = Callable[[Iterable[Event]], Iterable[Interval]]
TIME_WIDTH: Final = 21
# How many events are read to find enough intervals: a few first, then up to the maximum.
PAGES: Final = (200, 2000, MAX_HITS)


def explain(settings: Settings, *, last: int, inputs: bool, as_json: bool) -> int:
    """Show the last decisions, oldest first.

    At most `last` lines: changes, and intervals without one; as JSON the event of each tick. With `inputs`, a
    table of the signals.

    Returns:
        The exit code.
    """
    show = _show_json if as_json else _show_table if inputs else _show_lines
    try:
        with closing(open_store(settings, read_only=True)) as store:
            found = _last(store, _every_tick if as_json else merge_unchanged, last)
            show(found)
    except BrokenPipeError:
        return FOUND
    except (QueryError, StoreUnavailableError, ValueError) as error:
        sys.stderr.write(f"explain: {error}\n")
        return TROUBLE
    if not found:
        sys.stderr.write("no decision in the store\n")
        return NOTHING
    return FOUND


def _every_tick(events: Iterable[Event]) -> Iterator[Interval]:
    """Every tick as an interval of its own."""
    return (Interval(event, event) for event in events)


def _last(store: EventStore, group: Group, count: int) -> list[Interval]:
    found: list[Interval] = []
    for size in PAGES:
        hits = store.search(SearchRequest(QUERY, order="desc", size=size)).hits
        found = list(group(reversed(hits)))
        # The oldest interval may have begun before the events read.
        if len(found) > count or len(hits) < size:
            break
    return found[-count:]


def _show_lines(found: Iterable[Interval]) -> None:
    console = Console(highlight=False)
    for one in found:
        text = Text.assemble(
            (f"{_when(one):{TIME_WIDTH}}", "dim"), (one.sentence, "bold" if one.is_change else "")
        )
        if one.count > 1:
            text.append(f" ({one.count} ticks)", style="dim")
        console.print_line(text, TIME_WIDTH)


def _show_table(found: Iterable[Interval]) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("time", "number", "reason", *SIGNALS):
        table.add_column(title, justify="right" if title in SIGNALS else "left", no_wrap=True)
    for one in found:
        number = one.step if one.is_change else one.size
        table.add_row(_clock(one.last), number, one.reason, *one.signals)
    Console(highlight=False).print(table)


def _show_json(found: Iterable[Interval]) -> None:
    for one in found:
        sys.stdout.write(orjson.dumps(one.last).decode() + "\n")
    sys.stdout.flush()


def _when(interval: Interval) -> str:
    """The time of a change, or the begin and end of an interval, in local time."""
    first, last = (_clock(event) for event in (interval.first, interval.last))
    return first if interval.count == 1 else f"{first} – {last}"  # noqa: RUF001


def _clock(event: Event) -> str:
    at = time_ranges.microseconds(text_of(event, "@timestamp"))
    if at is None:
        return "?"
    return f"{time_ranges.to_datetime(at).astimezone():%H:%M:%S}"
