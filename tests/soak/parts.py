"""The parts of `make soak`; each prints what it found and returns what is wrong."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from soak import memory as memory_of
from soak.account import every_event
from soak.injection import Injection, processes
from soak.run import Report, Stored, progress, run
from soak.schedule import Fault, Step, schedule
from soak.stacks import SOAKED
from soak.store_faults import WAYS, WithStore, behind_proxy
from support.doubles.logstash_double import PASSWORD, USERNAME, LogstashDouble, logstash_double
from support.doubles.small_disk import mounted
from support.eventually import eventually
from support.processes import elasticsearch_server
from support.processes.collector_process import CollectorFolder, stop
from support.processes.load import constant
from support.processes.running_stack import LEFT_ALONE, Stack, prepared, running
from tidegate.store import open_store

LEAST_SECONDS: Final = 30.0
RESTARTS: Final = 100
EVENTS: Final = 20_000
DISK_BYTES: Final = 512 * 2**20
WARM_UP_SECONDS: Final = 120.0
WALL_CLOCK: Final = Path(__file__).with_name("wall_clock.c")


@dataclass(frozen=True)
class Order:
    """What a part is told: its folder, the model, the options, the seconds that are left, whom to tell."""

    folder: Path
    artefact: Path
    options: argparse.Namespace
    left: float
    say: Callable[[str], None]

    def soak(
        self, stack: Stack, steps: list[Step], faults: Injection, stored: Stored | None = None
    ) -> list[str]:
        """Run the steps, print what was found."""
        load = self.folder / "load"
        report: Report = run(
            stack, load, steps, faults, rate=self.options.rate, stored=stored, say=self.say
        )
        self.say("\n".join(report.lines()))
        return report.account.wrong


def of_processes(order: Order) -> list[str]:
    """kill -9 and SIGSTOP of each process, cut connections, a full disk; singly, then in pairs."""
    seconds = order.options.stop_seconds
    with mounted(order.folder / "stack" / "data", DISK_BYTES), _stack(order) as stack:
        parts = sorted(processes(stack))
        faults = [
            *(Fault("kill", part) for part in parts),
            *(Fault("stop", part, seconds) for part in parts),
            *(Fault("cut", part, seconds) for part in ("flights-1", "prometheus")),
        ]
        # The disk alone: no new stack can start on a full one.
        full: Step = (Fault("disk", "data", seconds),)
        steps = [*schedule(order.options.seed, faults, order.options.pairs), full]
        return order.soak(stack, steps, Injection(stack))


def of_store(order: Order) -> list[str]:
    """A real Elasticsearch that fails in each way, alone and while the collector is killed."""
    seconds = order.options.stop_seconds / 3
    with ExitStack() as closing:
        server = closing.enter_context(elasticsearch_server.running())
        certificates = order.folder / "certificates"
        behind = closing.enter_context(behind_proxy(server.url, certificates))
        stack = closing.enter_context(_stack(order, **behind.sections()))
        ways = [Fault("store", way, seconds) for way in WAYS]
        pairs: list[Step] = [(way, Fault("kill", "collector")) for way in ways]
        steps = [*schedule(order.options.seed, ways, 0), *pairs]
        return order.soak(stack, steps, WithStore(stack, behind=behind))


@dataclass(frozen=True)
class InLogstash:
    """What the stand-in of Logstash has."""

    double: LogstashDouble

    def of_trace(self, trace_id: str) -> int:
        return sum(
            one.get("trace", {}).get("id") == trace_id
            and one["event"]["dataset"] == "tidegate.request"
            for one in list(self.double.stored.values())
        )

    def every(self) -> list[dict[str, Any]]:
        return list(self.double.stored.values())


@dataclass
class WithLogstash(Injection):
    """Logstash is away, or its queue is full, or it takes events and never says so."""

    double: LogstashDouble | None = None

    def _begin(self, fault: Fault, pids: dict[str, int]) -> None:
        assert self.double is not None
        match fault.target:
            case "away":
                self.double.stop()
            case "full":
                self.double.status = 429
            case "silent":
                self.double.silent = True
            case _:
                super()._begin(fault, pids)

    def end(self, fault: Fault) -> None:
        assert self.double is not None
        match fault.target:
            case "away":
                self.double.start()
            case "full":
                self.double.status = 0
            case "silent":
                self.double.speak()
            case _:
                super().end(fault)


def of_logstash(order: Order) -> list[str]:
    """The stand-in of Logstash, which behaves as a real one was measured to."""
    with logstash_double() as double:
        password = order.folder / "password"
        password.write_text(PASSWORD)
        address = {"url": double.url, "username": USERNAME, "password_file": str(password)}
        collector = {"sink": "logstash", "logstash": address}
        with _stack(order, collector=collector) as stack:
            seconds = order.options.stop_seconds / 3
            ways = [Fault("store", way, seconds) for way in ("away", "full", "silent")]
            pairs: list[Step] = [(way, Fault("kill", "collector")) for way in ways]
            steps = [*schedule(order.options.seed, ways, 0), *pairs]
            return order.soak(stack, steps, WithLogstash(stack, double=double), InLogstash(double))


def of_clock(order: Order) -> list[str]:
    """The wall clock of every program in Python and of the gateway jumps ahead, and back.

    Prometheus, which is linked statically, keeps the machine's; the monotonic clock goes on.
    """
    library, clock = order.folder / "wall_clock.so", order.folder / "clock"
    if not shutil.which("cc"):
        order.say("soak: clock is left out: there is no C compiler (cc)")
        return []
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, WALL_CLOCK], check=True)
    seconds = order.options.stop_seconds / 3
    clock.write_text("+0\n")
    preload = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(clock)}
    made = prepared(order.folder / "stack", order.artefact, **SOAKED)
    stack = replace(made, environment=made.environment | preload)
    jumps = [Fault("clock", by, seconds) for by in ("+3600", "-3600", "+30", "-30")]
    pairs: list[Step] = [(jump, Fault("kill", "collector")) for jump in jumps[:2]]
    with stack.up():
        steps = [*schedule(order.options.seed, jumps, 0), *pairs]
        wrong = order.soak(stack, steps, Injection(stack, clock))
    ahead = stack.search(size=0, since=datetime.now(UTC) + timedelta(minutes=30)).total
    return wrong if ahead else [*wrong, "no event has the time of a clock that was ahead"]


def of_restarts(order: Order) -> list[str]:
    """100 kills of a collector that has work to do, at moments drawn by the seed."""
    folder = CollectorFolder(order.folder, {}, uuid.uuid4().hex)
    writer, chance = folder.writer(file_bytes=100_000), random.Random(order.options.seed)
    done = 0
    with progress(lambda: f"{done} of {RESTARTS} kills of the collector", order.say):
        for done in range(1, RESTARTS + 1):
            folder.write(writer, range((done - 1) * EVENTS // RESTARTS, done * EVENTS // RESTARTS))
            process = folder.start()
            time.sleep(chance.uniform(0.2, 1.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
    process = folder.start()
    eventually(lambda: folder.metric("lag_bytes") == 0, "everything is delivered")
    stop(process)
    store = open_store(folder.settings, read_only=True)
    numbers = sorted(
        event["tidegate"]["rows"]
        for event in every_event(store)
        if event["event"]["dataset"] == "tidegate.request"
    )
    store.close()
    lost, doubled = EVENTS - len(set(numbers)), len(numbers) - len(set(numbers))
    order.say(f"{RESTARTS} kills: {EVENTS:,} events, {lost} lost, {doubled} doubled")
    return [f"{lost} lost, {doubled} doubled"] if lost or doubled else []


def of_memory(order: Order) -> list[str]:
    """Memory and descriptors of each process at a constant rate, after a warm-up."""
    rate, seconds = order.options.memory_rate, order.left - LEAST_SECONDS
    if seconds < 2 * WARM_UP_SECONDS:
        order.say(
            f"soak: memory is left out: it needs {(2 * WARM_UP_SECONDS + LEAST_SECONDS) / 60:g} minutes"
        )
        return []
    samples = list[memory_of.Sample]()
    with running(order.folder / "stack", order.artefact, **LEFT_ALONE) as stack:
        rows = str(order.artefact / "samples.ndjson")
        load = stack.load(
            order.folder,
            *("--rows", rows),
            phases=constant(seconds, rate),
            works=("light",),
            arrivals="poisson",
        )
        with progress(lambda: f"{rate:g} requests a second", order.say), load as sent:
            for one in memory_of.watch(stack, seconds):
                if one.seconds >= WARM_UP_SECONDS:
                    samples.append(one)
            summary = sent.stop()
    found = memory_of.growth(samples)
    order.say(memory_of.table(found))
    reached = summary["answered"] / seconds
    order.say(
        f"{summary['answered']:,} answered, {summary['failed']} failed, {reached:.0f} a second reached;"
        f" {samples[-1].seconds - samples[0].seconds:.0f} s after a warm-up of {WARM_UP_SECONDS:.0f} s"
    )
    # Prometheus keeps the samples of two to three hours in memory before it writes them out.
    ours = [one for one in found if one.name != "prometheus"]
    return [
        f"{one.name} grows by {one.slope:.2f} MB in ten minutes" for one in ours if not one.flat
    ] + [
        f"{one.name} has {one.descriptors[1]} descriptors, {one.descriptors[0]} before"
        for one in ours
        if one.descriptors[1] > one.descriptors[0] + memory_of.MORE_DESCRIPTORS
    ]


@contextmanager
def _stack(order: Order, **sections: Any) -> Iterator[Stack]:
    with running(order.folder / "stack", order.artefact, **SOAKED, **sections) as stack:
        yield stack


PARTS: Final[dict[str, Callable[[Order], list[str]]]] = {
    "processes": of_processes,
    "store": of_store,
    "logstash": of_logstash,
    "clock": of_clock,
    "restarts": of_restarts,
    "memory": of_memory,
}
