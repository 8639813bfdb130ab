"""CPU of the collector: from event files on disk to acknowledged in the store.

Writes realistic request events with the real writer, then delivers them with the real delivery loop, in one
process. The CPU time is that of all threads (`time.process_time`), including tantivy's indexing; for
Elasticsearch it is that of the collector only.

    python -m bench.collector --events 20000
    python -m bench.collector --elasticsearch http://127.0.0.1:9200

With a running Elasticsearch also into that, in turns with `parallel_bulk` of the same events from
memory; without it the results are not saved. Last, events are written at a constant rate beside a collector
of its own, and searched for.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path

from elasticsearch import Elasticsearch, helpers

from bench.engines.engine import free_ports
from bench.results import Result, result, save
from tidegate.collector.checkpoint import Checkpoint, Progress
from tidegate.collector.delivery import Delivery, sink_backoff
from tidegate.collector.metrics import Metrics
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.retention import Retention, SteadyClock
from tidegate.collector.run import GARBAGE_OBJECTS
from tidegate.collector.tail import Limits, Tail
from tidegate.events.event import Event, Origin, make_event, timestamp
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import EventStore, SearchRequest, StoreUnavailableError
from tidegate.store.embedded import index
from tidegate.store.embedded.store import HEAP_BYTES, WRITER_THREADS
from tidegate.store.own_fields import LeftOut

# Elasticsearch shows what it has acknowledged at its next refresh, a second later at most.
REFRESH_SECONDS = 30
# 20,000 events a second and core.
TARGET_US = 50.0
# At least 0.9 times as many events a second.
TARGET_BULK = 1 / 0.9
# An event is searchable: 99 of 100, at this rate.
TARGET_SEARCHABLE_MS = 1000.0
SEARCHABLE_RATE = 2000
# Between two searches, so that they take little of the CPU.
PROBE_SECONDS = 0.05


class MissingEventsError(RuntimeError):
    """An acknowledged event is missing."""


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


def write_events(folder: Path, namespace: str, count: int) -> None:
    """Write the events."""
    chance = random.Random(1)
    origin = Origin("flights", "0.1.0", "bench", "flights-1", namespace)
    writer = EventWriter(folder, "flights-1")
    start_ns = time.time_ns()
    for number in range(count):
        writer.write(make_request_event(origin, number, chance, start_ns))
    writer.close()


def collector(folder: Path, open_sink: Callable[[LeftOut], EventStore], batch: int) -> Delivery:
    """Create the delivery of a folder."""
    collector_folder = folder / "collector"
    collector_folder.mkdir()
    origin = Origin("flights", "0.1.0", "bench", "collector", "bench")
    return Delivery(
        tail=Tail(folder / "logs", Progress(), Limits(batch, 64 * 2**20, 2**20), time.time),
        open_sink=open_sink,
        checkpoint=Checkpoint(collector_folder / "checkpoint.json"),
        quarantine=Quarantine(collector_folder, clock_ns=time.time_ns),
        event_log=EventLog(EventWriter(collector_folder, "collector"), origin, "collector"),
        metrics=Metrics(),
        keep=Retention(1e9, 2**40),
        event_age=timedelta(days=7),
        backoff=sink_backoff(),
        clock=time.time,
        age_clock=SteadyClock(time.time()),
    )


def measure(settings: Settings, count: int, batch: int) -> tuple[float, float]:
    """Deliver `count` events in batches of `batch`; returns the CPU and the wall time of an event in µs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        namespace = uuid.uuid4().hex
        settings = settings.model_copy(
            update={"stack": settings.stack.model_copy(update={"data_dir": folder})}
        )
        write_events(folder / "logs", namespace, count)
        store = open_store(settings)
        delivery = collector(folder, lambda _: store, batch)
        processor, wall = time.process_time(), time.perf_counter()
        while not delivery.step().done:
            pass
        spent, took = time.process_time() - processor, time.perf_counter() - wall
        found = visible(store, f"data_stream.namespace:{namespace}", count)
        if found != count:
            raise MissingEventsError(f"{count} events were delivered, {found} were found")
        delivery.close()
        return spent / count * 1e6, took / count * 1e6


def tantivy_alone(count: int, batch: int) -> float:
    """CPU time of an event in tantivy in µs, its document being ready: what bounds the embedded store."""
    chance, start_ns = random.Random(1), time.time_ns()
    origin = Origin("flights", "0.1.0", "bench", "flights-1", "bench")
    made = (make_request_event(origin, number, chance, start_ns) for number in range(count))
    documents = [index.document(event)[1] for event in made]
    with tempfile.TemporaryDirectory() as folder:
        writer = index.create(Path(folder) / "index").writer(HEAP_BYTES, WRITER_THREADS)
        began = time.process_time()
        for start in range(0, count, batch):
            for document in documents[start : start + batch]:
                writer.add_json(document)
            writer.commit()
        spent = time.process_time() - began
        writer.wait_merging_threads()
        return spent / count * 1e6


def parallel_bulk(url: str, count: int, batch: int) -> tuple[float, float]:
    """The same by Elasticsearch's client from memory, into the same data stream, with its default threads."""
    namespace = uuid.uuid4().hex
    origin = Origin("flights", "0.1.0", "bench", "flights-1", namespace)
    chance, start_ns = random.Random(1), time.time_ns()
    stream = f"logs-flights-{namespace}"
    actions = [
        {
            "_op_type": "create",
            "_index": stream,
            "_source": make_request_event(origin, number, chance, start_ns),
        }
        for number in range(count)
    ]
    with Elasticsearch(url) as client:
        processor, wall = time.process_time(), time.perf_counter()
        for done, item in helpers.parallel_bulk(client, actions, chunk_size=batch):
            if not done:
                raise MissingEventsError(str(item))
        return (time.process_time() - processor) / count * 1e6, (
            time.perf_counter() - wall
        ) / count * 1e6


def visible(store: EventStore, query: str, count: int) -> int:
    """Return how many events a query finds, waiting `REFRESH_SECONDS` for `count` of them."""
    deadline = time.monotonic() + REFRESH_SECONDS
    while (found := store.search(SearchRequest(query, size=0)).total) < count:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


def searchable_ms(rate: int, seconds: int) -> float:
    """The time from the write of an event until a search finds it, of 99 in 100 events, in ms.

    The collector is a process of its own with its default settings; this process writes and searches.
    """
    namespace, count = uuid.uuid4().hex, rate * seconds
    chance, origin = random.Random(1), Origin("flights", "0.1.0", "bench", "flights-1", namespace)
    events = [make_request_event(origin, at, chance, time.time_ns()) for at in range(count)]
    query = SearchRequest(f"data_stream.namespace:{namespace}", size=0)
    written, found = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        settings = Settings.model_validate(
            {"stack": {"data_dir": temporary}, "store": {"kind": "embedded"}}
        )
        writer = EventWriter(settings.log_dir, "flights-1")

        def write(some: Sequence[Event], begin: float) -> None:
            for number, event in enumerate(some):
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))
                written.append(time.monotonic())
                writer.write(event)

        store = running.enter_context(closing(open_store(settings, read_only=True)))

        def find(wanted: int, deadline: float) -> None:
            while len(found) < wanted:
                if time.monotonic() > deadline:
                    raise MissingEventsError(f"of {wanted} events {len(found)} were found")
                time.sleep(PROBE_SECONDS)
                with suppress(StoreUnavailableError):  # the collector has not created it yet
                    total = store.search(query).total
                    found.extend([time.monotonic()] * (total - len(found)))

        process = running.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tidegate", "collector"],
                env=os.environ
                | {
                    "TIDEGATE_STACK__DATA_DIR": temporary,
                    "TIDEGATE_STORE__KIND": "embedded",
                    "TIDEGATE_COLLECTOR__METRICS_PORT": str(free_ports(19_000, 1)),
                },
            )
        )
        running.callback(process.terminate)
        write(events[:1], time.monotonic())
        find(1, time.monotonic() + REFRESH_SECONDS)  # it has started
        writing = threading.Thread(target=write, args=(events[1:], time.monotonic()))
        writing.start()
        running.callback(writing.join)
        find(count, time.monotonic() + seconds + REFRESH_SECONDS)
    waits = [after - before for before, after in zip(written[1:], found[1:], strict=True)]
    return 1e3 * statistics.quantiles(waits, n=100)[98]


def beside_bulk(url: str, count: int, batches: Sequence[int], rounds: int) -> list[Result]:
    """The collector and Elasticsearch's client in turns."""
    store = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
    settings = Settings.model_validate({"store": store})
    found = []
    for batch in batches:
        turns = [
            (measure(settings, count, batch), parallel_bulk(url, count, batch))
            for _ in range(rounds)
        ]
        ours, peer = zip(*turns, strict=True)
        for number, (kind, target) in enumerate((("CPU", None), ("time", TARGET_BULK))):
            found.append(
                result(
                    f"into Elasticsearch, batches of {batch:,}, {kind}: against `parallel_bulk` from memory",
                    [each[number] for each in ours],
                    [each[number] for each in peer],
                    unit="µs/event",
                    target=target,
                )
            )
    return found


def main() -> None:
    """Measure, print and save."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--events", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--batches", type=int, nargs="+", default=[1000, 4000])
    options.add_argument("--elasticsearch", default="", help="URL of a running Elasticsearch")
    arguments = options.parse_args()
    gc.set_threshold(GARBAGE_OBJECTS)
    embedded = Settings.model_validate({"store": {"kind": "embedded"}})
    found = []
    for batch in arguments.batches:
        turns = [
            (measure(embedded, arguments.events, batch)[0], tantivy_alone(arguments.events, batch))
            for _ in range(arguments.rounds)
        ]
        ours, bound = map(list, zip(*turns, strict=True))
        title = f"into embedded, batches of {batch:,}"
        found.append(result(title, ours, unit="µs/event", target=TARGET_US))
        found.append(result(f"{title}: against tantivy alone", ours, bound, unit="µs/event"))
    if url := arguments.elasticsearch:
        found += beside_bulk(url, arguments.events, arguments.batches, arguments.rounds)
    title = f"searchable after, of 99 in 100 events, at {SEARCHABLE_RATE:,} a second"
    waits = [searchable_ms(SEARCHABLE_RATE, seconds=15) for _ in range(arguments.rounds)]
    found.append(result(title, waits, unit="ms", target=TARGET_SEARCHABLE_MS))
    whole = bool(url) and arguments.batches == options.get_default("batches")
    save("collector", found, whole=whole)


if __name__ == "__main__":
    main()
