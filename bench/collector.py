"""Throughput and CPU of the collector: from event files on disk to acknowledged in the store.

Writes realistic request events with the real writer, then delivers them with the real delivery loop, in one
process. The CPU time is that of all threads (`time.process_time`), including tantivy's indexing; for
Elasticsearch it is that of the collector only. The wall time includes all fsyncs.

    python bench/collector.py --events 20000
    python bench/collector.py --elasticsearch http://127.0.0.1:9200     also to a running Elasticsearch
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import os
import platform
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tidegate.collector.checkpoint import Checkpoint
from tidegate.collector.delivery import Delivery, Retention, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.run import GARBAGE_OBJECTS
from tidegate.collector.tail import Limits, Tail
from tidegate.events.event import Event, Origin, make_event, timestamp
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import (
    Aggregation,
    DateHistogram,
    EventStore,
    SearchRequest,
    Terms,
)
from tidegate.store.own_fields import LeftOut

QUERIES: dict[str, dict[str, Aggregation]] = {
    "log.level:error AND tidegate.work:heavy": {},
    "trace.id:<one of them>": {},
    "everything, with two aggregations": {
        "levels": Terms("log.level"),
        "time": DateHistogram(timedelta(seconds=1)),
    },
}
SEARCHES = 20
# Elasticsearch shows what it has acknowledged at its next refresh, a second later at most.
REFRESH_SECONDS = 30


class MissingEventsError(RuntimeError):
    """An acknowledged event is missing."""


@dataclass(frozen=True)
class Result:
    """The result of one run."""

    name: str
    events: int
    batch: int
    seconds: float
    cpu_seconds: float
    searches: dict[str, float]

    def __str__(self) -> str:
        rate, cpu = self.events / self.seconds, self.cpu_seconds / self.events * 1e6
        return f"{self.name:<14} {self.batch:>6} {rate:>10,.0f} {cpu:>10.0f}"


def make_request_event(origin: Origin, number: int, chance: random.Random, start_ns: int) -> Event:
    """Return an event as the telemetry middleware writes it: about 950 bytes."""
    end_ns = start_ns + number * 1_000_000
    duration = int(chance.lognormvariate(17.5, 0.6))
    status = 500 if chance.random() < 0.01 else 200
    return make_event(
        origin,
        "request",
        f"POST /predict {status} in {duration / 1e6:.0f} ms",
        unix_ns=end_ns,
        level="error" if status == 500 else "info",
        fields={
            "event": {
                "action": "request",
                "outcome": "failure" if status == 500 else "success",
                "duration": duration,
                "start": timestamp(end_ns - duration),
            },
            "http": {"request": {"method": "POST"}, "response": {"status_code": status}},
            "url": {"path": "/predict"},
            "trace": {"id": f"{chance.getrandbits(128):032x}"},
            "span": {"id": f"{chance.getrandbits(64):016x}"},
            "tidegate": {
                "route": "/predict",
                "model": {"name": "flights", "version": "3f2a9c1e"},
                "rows": 1,
                "work": chance.choice(("light", "medium", "heavy")),
                "queue_ns": chance.randrange(5_000_000),
                "prediction": {"label": "on time", "probability": round(chance.random(), 6)},
            },
        },
    )


def write_events(folder: Path, namespace: str, count: int) -> tuple[int, str]:
    """Write the events; return their size, and one of their trace ids."""
    chance = random.Random(1)
    origin = Origin("flights", "0.1.0", "bench", "flights-1", namespace)
    writer = EventWriter(folder, "flights-1")
    start_ns, trace_id = time.time_ns(), ""
    for number in range(count):
        event = make_request_event(origin, number, chance, start_ns)
        trace_id = event["trace"]["id"]
        writer.write(event)
    writer.close()
    return sum(path.stat().st_size for path in folder.iterdir()), trace_id


def collector(folder: Path, open_sink: Callable[[LeftOut], EventStore], batch: int) -> Delivery:
    """Create the delivery of a folder."""
    collector_folder = folder / "collector"
    collector_folder.mkdir()
    origin = Origin("flights", "0.1.0", "bench", "collector", "bench")
    return Delivery(
        folder=folder / "logs",
        tail=Tail(
            folder / "logs",
            {},
            Limits(batch, 64 * 2**20, 2**20),
            clock=time.time,
        ),
        open_sink=open_sink,
        checkpoint=Checkpoint(collector_folder / "checkpoint.json"),
        quarantine=Quarantine(collector_folder, clock_ns=time.time_ns),
        event_log=EventLog(EventWriter(collector_folder, "collector"), origin, "collector"),
        metrics=Metrics(),
        retention=Retention(1e9, 2**40, timedelta(days=7)),
        backoff=sink_backoff(),
        clock=time.time,
    )


def measure(name: str, settings: Settings, count: int, batch: int) -> Result:
    """Deliver `count` events in batches of `batch`, then search them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        namespace = uuid.uuid4().hex
        settings = settings.model_copy(
            update={"stack": settings.stack.model_copy(update={"data_dir": folder})}
        )
        _, trace_id = write_events(folder / "logs", namespace, count)
        store = open_store(settings)
        delivery = collector(folder, lambda _: store, batch)
        began, cpu = time.perf_counter(), time.process_time()
        while not delivery.step().done:
            pass
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        own = f"data_stream.namespace:{namespace}"
        found = visible(store, own, count)
        if found != count:
            raise MissingEventsError(f"{name}: {count} events were delivered, {found} were found")
        searches = {}
        for title, aggregations in QUERIES.items():
            query = own if aggregations else f"{own} AND {title.replace('<one of them>', trace_id)}"
            searches[title] = search_seconds(store, SearchRequest(query, aggregations=aggregations))
        delivery.close()
        return Result(name, count, batch, seconds, cpu_seconds, searches)


def visible(store: EventStore, query: str, count: int) -> int:
    """Return how many events a query finds, waiting `REFRESH_SECONDS` for `count` of them."""
    deadline = time.monotonic() + REFRESH_SECONDS
    while (found := store.search(SearchRequest(query, size=0)).total) < count:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


def search_seconds(store: EventStore, request: SearchRequest) -> float:
    """Return the median time of a search with 50 hits."""
    took = []
    for _ in range(SEARCHES):
        began = time.perf_counter()
        store.search(request)
        took.append(time.perf_counter() - began)
    return sorted(took)[SEARCHES // 2]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--events", type=int, default=20_000)
    options.add_argument("--batches", type=int, nargs="+", default=[1000, 4000])
    options.add_argument("--elasticsearch", default="", help="URL of a running Elasticsearch")
    arguments = options.parse_args()
    gc.set_threshold(GARBAGE_OBJECTS)
    stores = {"embedded": Settings.model_validate({"store": {"kind": "embedded"}})}
    if arguments.elasticsearch:
        stores["elasticsearch"] = Settings.model_validate(
            {"store": {"kind": "elasticsearch", "elasticsearch": {"url": arguments.elasticsearch}}}
        )
    today = dt.datetime.now(dt.UTC).date()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {today}"
    )
    print(f"{arguments.events} request events\n")
    print(f"{'store':<14} {'batch':>6} {'events/s':>10} {'µs CPU/event':>10}")
    results = [
        measure(name, settings, arguments.events, batch)
        for name, settings in stores.items()
        for batch in arguments.batches
    ]
    for result in results:
        print(result)
    print("\nsearches with 50 hits, median")
    for result in results:
        for title, seconds in result.searches.items():
            print(f"{result.name:<14} {seconds * 1000:>7.1f} ms  {title}")


if __name__ == "__main__":
    main()
