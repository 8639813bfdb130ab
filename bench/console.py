"""How long the console's searches take over many events in the embedded store.

Builds a store once in a folder that is kept: request events of a week, a tenth of them with a span. Then it
repeats each search that a page makes, in a reader that stays open as in the console, and prints the median.
The exit code is 1 if a first page takes 300 ms or longer, or a histogram 1 s.

    python bench/console.py --folder /tmp/events                       10 million events: half an hour of CPU
    python bench/console.py --folder /tmp/events --events 1000000
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

sys.path[0] = str(Path(__file__).parents[1])  # otherwise bench/loadgen.py would hide the package

from bench.collector import make_request_event  # noqa: E402
from tidegate.console.results import find  # noqa: E402
from tidegate.console.search_request import FACETS, Wanted  # noqa: E402
from tidegate.console.search_request import SIZE as PAGE  # noqa: E402
from tidegate.events.event import Event, Origin, make_event  # noqa: E402
from tidegate.store.base import DateHistogram, EventStore, SearchRequest, Terms  # noqa: E402
from tidegate.store.embedded import folder as layout  # noqa: E402
from tidegate.store.embedded import index  # noqa: E402
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore  # noqa: E402
from tidegate.store.search.completion import completions  # noqa: E402
from tidegate.store.search.histograms import fitting_interval  # noqa: E402
from tidegate.store.search.pages import page  # noqa: E402

REPEATS: Final = 20
PAGE_SECONDS: Final = 0.3
HISTOGRAM_SECONDS: Final = 1.0
QUERIES: Final = {
    "everything": "",
    "errors": "log.level:error",
    "two conditions": "tidegate.work:heavy AND http.response.status_code:200",
    "words of a message": "predict 500",
}
WEEK_MS: Final = 7 * 24 * 3600 * 1000
# Fewer and larger segments are written than by a collector, whose merges end with as large ones.
HEAP_BYTES: Final = 1_000_000_000
COMMIT_EVENTS: Final = 500_000
ORIGIN: Final = Origin("flights", "0.1.0", "bench", "flights-1", "bench")


def events(count: int, start_ns: int) -> Iterator[Event]:
    """Yield events that are evenly spread over a week: ten requests, then the span of the last one."""
    chance = random.Random(1)
    for number in range(count):
        milliseconds = number * WEEK_MS // count
        if number % 11 < 10:
            event = make_request_event(ORIGIN, milliseconds, chance, start_ns)
            yield event
        else:
            yield _span(event, start_ns + milliseconds * 1_000_000)


def _span(request: Event, unix_ns: int) -> Event:
    about = {name: request["event"][name] for name in ("outcome", "duration", "start")}
    return make_event(
        ORIGIN,
        "span",
        "POST /predict",
        unix_ns=unix_ns,
        stream="traces",
        fields={
            "event": about,
            "trace": request["trace"],
            "span": {**request["span"], "name": "POST /predict", "kind": "server"},
        },
    )


def build(root: Path, count: int) -> None:
    """Write a store, unless the folder has one with this number of events."""
    with closing(EmbeddedStore(root)) as store:
        if store.count() == count:
            return
        if store.count():
            raise SystemExit(
                f"{root} has {store.count():,} events: delete it, or use another folder"
            )
    current = layout.read(root)
    assert current is not None
    opened = index.open_index(root / current.folder)
    writer = opened.writer(HEAP_BYTES, 1)
    began = time.monotonic()
    for number, event in enumerate(events(count, time.time_ns() - WEEK_MS * 1_000_000), 1):
        index.add(writer, index.document(event)[1])
        if number % COMMIT_EVENTS == 0:
            writer.commit()
            print(f"{number:,} events after {time.monotonic() - began:.0f} s", flush=True)
    writer.commit()
    writer.wait_merging_threads()


def searches(store: EventStore) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what pages ask for, by name, and the seconds that it may take."""
    now = datetime.now(UTC)
    week = SearchRequest(since=now - timedelta(days=7), until=now + timedelta(minutes=1), size=PAGE)
    wanted = Wanted(since="7d")
    assert week.since is not None
    assert week.until is not None
    last = replace(wanted, after=str(page(store, week).next))
    found: dict[str, tuple[Callable[[], object], float]] = {}
    for name, query in QUERIES.items():
        request = replace(week, query=query)
        histogram = DateHistogram(fitting_interval(week.since, week.until))
        counts = replace(request, size=0, aggregations={"time": histogram})
        # With the number of all, of those with an error, and the histogram.
        first = partial(find, store, replace(wanted, q=query), now, facets=False)
        found[f"first page: {name}"] = (first, PAGE_SECONDS)
        found[f"histogram: {name}"] = (partial(store.search, counts), HISTOGRAM_SECONDS)
    facets = replace(week, size=0, aggregations={name: Terms(name, 6) for name in FACETS})
    slowest = replace(week, sort="event.duration", stream="traces")
    second = partial(find, store, last, now, facets=False)
    found["second page: everything"] = (second, PAGE_SECONDS)
    found["six facets: everything"] = (partial(store.search, facets), math.inf)
    found["slowest traces"] = (partial(store.search, slowest), math.inf)
    completed = partial(completions, store, "tidegate.work:", week.since)
    found["values of a field"] = (completed, math.inf)
    found["first page and facets: everything"] = (partial(find, store, wanted, now), math.inf)
    return found


def measure(call: Callable[[], object]) -> tuple[float, float]:
    """Return the medians of the wall time and of the CPU time, in seconds."""
    call()
    walls, processors = [], []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def main() -> int:
    """Build the store and measure the searches."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--events", type=int, default=10_000_000)
    arguments = parser.parse_args()
    build(arguments.folder, arguments.events)
    size = sum(path.stat().st_size for path in arguments.folder.rglob("*") if path.is_file())
    print(
        f"{arguments.events:,} events of a week, {size / 1e9:.1f} GB; {platform.processor() or 'CPU'},"
        f" {os.cpu_count()} cores; median of {REPEATS}, in ms"
    )
    print(f"{'':<38}{'wall':>8}{'CPU':>8}")
    missed = []
    with closing(EmbeddedReader(arguments.folder)) as store:
        for name, (call, limit) in searches(store).items():
            wall, processor = measure(call)
            print(f"{name:<38}{wall * 1e3:>8.0f}{processor * 1e3:>8.0f}", flush=True)
            if wall >= limit:
                missed.append(name)
    if missed:
        print(f"too slow: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
