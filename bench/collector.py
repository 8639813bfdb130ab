"""CPU of the collector: from event files on disk to acknowledged in the store.

Writes realistic request events with the real writer, then delivers them with the real delivery loop, in one
process. The CPU time is that of all threads (`time.process_time`), including tantivy's indexing; for
Elasticsearch it is that of the collector only.

    python -m bench.collector --events 20000
    python -m bench.collector --elasticsearch http://127.0.0.1:9200     also to a running Elasticsearch
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.results import result, save
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
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.own_fields import LeftOut

# Elasticsearch shows what it has acknowledged at its next refresh, a second later at most.
REFRESH_SECONDS = 30
# 20,000 events a second and core.
TARGET_US = 50.0


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


def measure(settings: Settings, count: int, batch: int) -> float:
    """Deliver `count` events in batches of `batch`; returns the CPU time of an event in µs."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        namespace = uuid.uuid4().hex
        settings = settings.model_copy(
            update={"stack": settings.stack.model_copy(update={"data_dir": folder})}
        )
        write_events(folder / "logs", namespace, count)
        store = open_store(settings)
        delivery = collector(folder, lambda _: store, batch)
        began = time.process_time()
        while not delivery.step().done:
            pass
        spent = time.process_time() - began
        found = visible(store, f"data_stream.namespace:{namespace}", count)
        if found != count:
            raise MissingEventsError(f"{count} events were delivered, {found} were found")
        delivery.close()
        return spent / count * 1e6


def visible(store: EventStore, query: str, count: int) -> int:
    """Return how many events a query finds, waiting `REFRESH_SECONDS` for `count` of them."""
    deadline = time.monotonic() + REFRESH_SECONDS
    while (found := store.search(SearchRequest(query, size=0)).total) < count:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
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
    stores: dict[str, dict[str, Any]] = {"embedded": {"kind": "embedded"}}
    if arguments.elasticsearch:
        url = {"url": arguments.elasticsearch}
        stores["elasticsearch"] = {"kind": "elasticsearch", "elasticsearch": url}
    found = []
    for name, store in stores.items():
        settings = Settings.model_validate({"store": store})
        for batch in arguments.batches:
            rounds = [measure(settings, arguments.events, batch) for _ in range(arguments.rounds)]
            target = TARGET_US if name == "embedded" else None
            title = f"into {name}, batches of {batch:,}"
            found.append(result(title, rounds, unit="µs/event", target=target))
    save("collector", found)


if __name__ == "__main__":
    main()
