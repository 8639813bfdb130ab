"""What production code of the pipeline uses of the world, replaced by the simulated machine and servers.

Nothing else is replaced: the names below are clocks, random numbers, locks of threads, sockets and stderr.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

import orjson
import urllib3
from elasticsearch import Elasticsearch
from elasticsearch._otel import OpenTelemetry
from elasticsearch._sync.client import _base as client

from tidegate.collector import delivery, logstash, quarantine, run
from tidegate.collector.metrics import Metrics
from tidegate.events import event as events
from tidegate.events import writer
from tidegate.events.writer import EventWriter
from tidegate.runtime import atomic_files, identity, locks
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog
from tidegate.store import fields
from tidegate.store.elasticsearch import store, templates

from ..world import system_calls
from ..world.machine import ThreadLock, ViolationError
from .network import elasticsearch_node, logstash_pool

if TYPE_CHECKING:
    from .simulation import Simulation

METRICS = Metrics()
"""The counters go on from one seed to the next: a registry takes a fifth of the time of a short seed."""
TELEMETRY = OpenTelemetry(enabled=False)
"""Of the client of Elasticsearch, which else asks the environment for it with each request."""


class RecordedWriter(EventWriter):
    """An event writer whose events are recorded: when the call begins, and when it has returned."""

    def __init__(self, simulation: Simulation, *arguments: Any, **options: Any) -> None:
        options["clock_ns"] = simulation.machine.time_ns
        super().__init__(*arguments, **options)
        self.simulation = simulation
        self._lock: Any = ThreadLock(simulation.machine)

    def write_line(self, line: bytes) -> None:
        ledger = self.simulation.ledger
        with self._lock:
            lines = line.splitlines(keepends=True)
            tried = [
                ledger.attempt(self.simulation.key_of_line(one), one, refused=b"refused" in one)
                for one in lines
            ]
            before = self.lost
            super().write_line(line)
            whole = len(tried) - (self.lost - before)
            inode = self.simulation.machine.described(self._fd) if self._fd >= 0 else None
            ledger.returned(tried[:whole], inode)
            ledger.failed(tried[whole:], inode)
            limit = max(self.file_bytes, len(line)) + 1  # the end of an incomplete line
            if inode is not None and len(inode.data) > limit:
                raise ViolationError(f"an event file has {len(inode.data)} bytes")


class InlineThreads:
    """A ThreadPoolExecutor whose tasks run one after the other, in a seeded order, all of them."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __enter__(self) -> InlineThreads:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """All have ended."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        order = list(range(len(items)))
        self._simulation.machine.random.shuffle(order)
        results: dict[int, Any] = {}
        failures: dict[int, Exception] = {}
        for number in order:
            try:
                results[number] = function(items[number])
            except Exception as error:  # noqa: BLE001  as a future keeps it
                failures[number] = error
        for number in range(len(items)):
            if number in failures:
                raise failures[number]
            yield results[number]


@cache
def _template(name: str) -> bytes:
    return orjson.dumps(_read_template(name))


_read_template = fields.template


@contextmanager
def boundaries(simulation: Simulation) -> Iterator[None]:
    """Let production code use the machine of this simulation."""
    machine, calls = simulation.machine, simulation.calls
    saved: list[tuple[Any, str, Any]] = []

    def put(owner: Any, name: str, value: Any) -> None:
        saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def sleep(seconds: float) -> None:
        machine.call("sleep", "", seconds)
        machine.pass_time(seconds)
        machine.yield_turn()

    clock = SimpleNamespace(
        time=lambda: machine.now,
        time_ns=machine.time_ns,
        monotonic=lambda: machine.monotonic,
        sleep=sleep,
    )

    def temporary_file(dir: Path, prefix: str, delete: bool) -> Any:  # noqa: A002  its name
        assert not delete
        return calls.temporary_file(os.fspath(dir), prefix)

    put(run, "time", clock)
    put(run._deliver, "__defaults__", (clock.monotonic,))
    put(run, "metrics_server", lambda *_: nullcontext())
    put(run, "Terminal", lambda: lambda _: None)
    put(run, "Metrics", lambda: METRICS)
    put(run, "sink_backoff", lambda: Backoff(0.2, 5.0, 0, random=lambda: 0.5))
    put(run, "EventLog", partial(EventLog, clock_ns=machine.time_ns))
    file_bytes = simulation.schedule.configuration.quarantine_bytes
    put(run, "Quarantine", partial(quarantine.Quarantine, file_bytes=file_bytes))
    put(identity, "EventWriter", partial(RecordedWriter, simulation))
    put(identity, "own_version", lambda: "1.0")  # reads the metadata of the package
    put(locks, "time", clock)
    put(locks, "POLL_SECONDS", 1.0)
    put(atomic_files, "NamedTemporaryFile", temporary_file)
    put(delivery, "gc", SimpleNamespace(collect=lambda: 0))
    put(writer, "sys", SimpleNamespace(stderr=SimpleNamespace(write=machine.note)))
    node = elasticsearch_node(lambda: simulation.elasticsearch)
    put(store, "Elasticsearch", partial(Elasticsearch, node_class=node))
    put(client, "OpenTelemetry", lambda **_: TELEMETRY)
    put(store, "ThreadPoolExecutor", lambda *_: InlineThreads(simulation))
    put(store, "LEAST_OPERATIONS", 2)
    put(templates, "template", lambda name: orjson.loads(_template(name)))
    connection = SimpleNamespace(
        PoolManager=logstash_pool(lambda: simulation.logstash),
        Timeout=urllib3.Timeout,
        exceptions=urllib3.exceptions,
    )
    put(logstash, "urllib3", connection)
    for owner, name, value in simulation.embedded.replacements():
        put(owner, name, value)
    put(events, "_process", "5eed" * 4)
    put(events, "_count", itertools.count())
    try:
        with system_calls.installed(calls):
            yield
    finally:
        for owner, name, value in reversed(saved):
            setattr(owner, name, value)
