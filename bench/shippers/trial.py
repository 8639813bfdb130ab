"""One shipper under one fault: what is written, what is stored."""

from __future__ import annotations

import math
import random
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch, helpers

from bench.collector import make_request_event
from bench.shippers.faults import Fault, Scene
from bench.shippers.otlp_endpoint import otlp_endpoint
from bench.shippers.shippers import NODE, Place, Process, Shipper
from support.doubles.faulty_proxy import FaultyProxy
from support.doubles.small_disk import mounted
from support.ports import free_port
from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter

RATE: Final = 200
FILE_BYTES: Final = 200_000
"""A file holds a second of events."""
DISK_BYTES: Final = 32 * 2**20
AT_LEAST_SECONDS: Final = 20.0
START_SECONDS: Final = 30.0
# For so long a shipper says that it is done, and no document comes: longer than its pause between two looks.
DONE_SECONDS: Final = 10.0
MOST_SECONDS: Final = 900.0
LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the events.

    Attributes:
        written: whole lines in the files.
        lost: of these in no document.
        doubled: documents of an event beside its first one.
        recovery: seconds from the end of the fault and of the writing until the last document came;
            infinite if after 15 minutes the shipper was not done.
    """

    written: int
    lost: int
    doubled: int
    recovery: float


def trial(shipper: Shipper, fault: Fault, elasticsearch: str) -> Outcome:
    """Write events while the fault happens, wait until the shipper is done, and count."""
    index = uuid.uuid4().hex
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-ship-")))
        state = folder / "collector"
        state.mkdir()
        if fault.needs_disk:
            stack.enter_context(mounted(state, DISK_BYTES))
        proxy = FaultyProxy(elasticsearch, free_port())
        proxy.start()
        stack.callback(proxy.stop)
        url = f"http://127.0.0.1:{proxy.port}"
        if shipper.otlp:
            url = stack.enter_context(otlp_endpoint(url, index))
        place = Place(folder, url, index)
        process = Process(shipper, place)
        client = stack.enter_context(Elasticsearch(elasticsearch, request_timeout=60))
        stream = shipper.stream.format(index)
        writing = _Writing(folder / "logs", index)
        process.start()
        stack.callback(process.kill)
        writing.thread.start()
        stack.callback(writing.end)
        # A shipper that has not begun yet would not see the fault.
        _wait(lambda: _count(client, stream) > 0, START_SECONDS)
        began = time.monotonic()
        fault.happen(Scene(process, proxy))
        time.sleep(max(0.0, began + AT_LEAST_SECONDS - time.monotonic()))
        writing.end()
        ended = time.monotonic()
        last = _until_done(lambda: _count(client, stream), lambda: shipper.done(place))
        process.stop()
        client.indices.refresh(index=stream)
        found = Counter(
            str(hit["_source"]["event"]["id"])
            for hit in helpers.scan(client, index=stream, _source=["event.id"], size=5000)
        )
    return Outcome(
        len(writing.ids),
        len(writing.ids - found.keys()),
        found.total() - len(found),
        max(0.0, last - ended),
    )


class _Writing:
    """A thread that writes events at `RATE` until it is ended."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.ids = set[str]()
        self.thread = threading.Thread(target=self._write, args=(folder, namespace))
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.thread.join()

    def _write(self, folder: Path, namespace: str) -> None:
        writer = EventWriter(folder, NODE, FILE_BYTES)
        origin, chance = Origin("flights", "0.1.0", "bench", NODE, namespace), random.Random(1)
        number, began = 0, time.monotonic()
        while not self._ended.wait(max(0.0, began + number / RATE - time.monotonic())):
            event = make_request_event(origin, 0, chance, time.time_ns())
            writer.write(event)
            self.ids.add(str(event["event"]["id"]))
            number += 1
        writer.close()


def _count(client: Elasticsearch, stream: str) -> int:
    options = client.options(ignore_status=[404, 503])
    options.indices.refresh(index=stream)
    return int(options.count(index=stream).get("count", 0))


def _until_done(count: Callable[[], int], done: Callable[[], bool]) -> float:
    """Wait until the shipper has been done for a while; returns when the last document came."""
    seen, now = -1, time.monotonic()
    changed, busy, until = now, now, now + MOST_SECONDS
    while (now := time.monotonic()) < max(changed, busy) + DONE_SECONDS:
        if now > until:
            return math.inf
        if (found := count()) != seen:
            seen, changed = found, now
        if not done():
            busy = now
        time.sleep(LOOK_SECONDS)
    return changed


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
