"""Runs a schedule: production code in the simulated world, with the invariants checked at each step."""

from __future__ import annotations

import errno
import itertools
import math
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import orjson

from tidegate.collector import run
from tidegate.events.event import Origin, encode, make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime import identity
from tidegate.runtime.daemon import CannotStartError
from tidegate.settings import Settings

from ..world.files import ROOT, error
from ..world.machine import Action, Machine, Process, Task, ViolationError
from ..world.system_calls import SystemCalls
from .boundaries import METRICS, boundaries
from .embedded import EmbeddedModel
from .invariants import DATA, LOGS, Invariants
from .ledger import Ledger, Written, key_of
from .network import ElasticsearchModel, LogstashModel, Network
from .schedule import STRANGERS, Configuration, Fault, Op, Run, Schedule
from .strangers import interfere

OTHER = f"{LOGS}/other.ndjson"
ORIGIN = Origin("shop", "1.0", "local", "shop-1", "default")
DISK_ERRORS = {
    "eio": (errno.EIO, {"open", "write", "pread", "read", "fsync", "scandir", "stat", "rename"}),
    "enospc": (errno.ENOSPC, {"open", "write", "fsync", "rename"}),
    "emfile": (errno.EMFILE, {"open", "scandir"}),
}
"""Errors of the disk, and the calls that they happen to."""
SUSPENDED_SECONDS = 60.0
AFTERWARDS = 1_773_366_400.0  # later than any clock has jumped
CLOCK_JUMPS = (-200_000.0, -4000.0, -7.0, 7.0, 4000.0, 200_000.0)


class Stop:
    """The event that ends a collector: a wait for it is where the collector rests between two steps."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.stopped = False

    def is_set(self) -> bool:
        return self.stopped

    def wait(self, seconds: float) -> bool:
        until = self._machine.monotonic + seconds
        if not self.stopped:
            self._machine.rest()
        if not self.stopped:
            self._machine.pass_time(max(0.0, until - self._machine.monotonic))
        return self.stopped


class Collector:
    """A collector process, and the thread that delivers."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self.process = simulation.machine.start(name)
        self.stop = Stop(simulation.machine)
        self.code: int | None = None
        self.promised: list[Written] = []  # when it was told to stop
        self.task = simulation.machine.spawn(self.process, lambda: self._main(simulation))

    def _main(self, simulation: Simulation) -> None:
        stop: Any = self.stop
        try:
            self.code = run._run(simulation.settings, stop)
        except CannotStartError as failure:
            self.code = 2
            simulation.machine.note(f"{self.process.name} cannot start: {failure}")
        except Exception as failure:
            raise ViolationError(f"the collector ends with {failure!r}") from failure
        left = [one.key for one in self.promised if not one.accounted]
        if self.code == 0 and left:
            raise ViolationError(f"the collector ended as if all were delivered: {left} are not")
        simulation.machine.kill(self.process)


class Simulation:
    """One schedule."""

    def __init__(self, schedule: Schedule, *, traced: bool = False) -> None:
        self.schedule = schedule
        configuration = schedule.configuration
        self.machine = Machine(traced=traced)
        self.calls = SystemCalls()
        self.calls.machine = self.machine
        kinds = {record.kind for record in schedule.records if isinstance(record, Fault)}
        # A writer looks once a second by the clock, which may stand.
        notice = math.inf if "freeze" in kinds else 1.1
        self.ledger = Ledger(configuration.batch_events, lambda: self.machine.monotonic, notice)
        self.invariants = Invariants(self.machine, self.ledger, configuration, kinds)
        self.machine.on_power_failure = self._power_failed
        self.calls.on_replace = self._replaced
        self.calls.on_unlink = self.invariants.unlinked
        self.calls.on_status = self.invariants.listed
        self.network = Network(self.machine, self.ledger)
        self.elasticsearch = ElasticsearchModel(self.network, configuration.longest)
        self.logstash = LogstashModel(self.network, self.elasticsearch, configuration.longest, 60)
        self.embedded = EmbeddedModel(self.machine, self.ledger)
        self.settings = _settings(configuration)
        self.collectors: dict[str, Collector] = {}
        self.writers: dict[str, tuple[Process, EventWriter | None]] = {}
        self.armed: list[Fault] = []
        self._numbers = itertools.count()
        self._lost_before = lost_bytes()
        for folder in (ROOT, DATA, LOGS)[1:]:
            self.machine.files.make_folder(folder, 0o700)

    def run(self) -> None:
        """Run the schedule, then let all faults end and everything arrive.

        Raises:
            ViolationError: an invariant does not hold.
        """
        with boundaries(self):
            try:
                for record in self.schedule.records:
                    self._do(record)
                self._finish()
            finally:
                self.machine.end()

    def _do(self, record: Run | Fault) -> None:
        if isinstance(record, Fault):
            if record.who == "net":
                number = self.network.requests + record.after
                self.network.faults[number] = record.kind, record.salt
            else:
                self.armed.append(record)
            return
        random = Random(record.salt)
        tasks = [task for op in record.ops if (task := self._task(op)) is not None]
        self._arm()
        self.machine.run(tasks, random)
        if self.schedule.configuration.sink == "logstash":
            self.logstash.work(random.randint(0, 20), forgotten=random.random() < 0.1)
        self.machine.pass_time(record.seconds)

    def _replaced(self, source: str, target: str) -> None:
        self.embedded.replaced(target)
        self.invariants.replaced(source, target)

    def _power_failed(self) -> None:
        """What the store has lost comes again; nothing excuses that its file was deleted before."""
        lost = self.ledger.stored_as(self.embedded.power_failed())
        deleted = [one for one in lost if self.invariants.is_deleted(one.inode)]
        for one in lost:
            if one not in deleted:
                self.ledger.unstored(one)
        self.invariants.power_failed()
        for one in deleted:
            self.ledger.unstored(one)

    def _arm(self) -> None:
        """Let the faults happen to the processes that now exist."""
        waiting = []
        for fault in self.armed:
            process = self._process(fault.who)
            if process is None:
                waiting.append(fault)
                continue
            process.faults.setdefault(process.calls + fault.after, []).append(self._action(fault))
        self.armed = waiting

    def _process(self, name: str) -> Process | None:
        if name in self.collectors:
            process = self.collectors[name].process
        elif name in self.writers:
            process = self.writers[name][0]
        else:
            return None
        return None if process.dead else process

    def _action(self, fault: Fault) -> Action:
        random = Random(fault.salt)

        def act(process: Process, call: str, path: str) -> None:
            number, calls = DISK_ERRORS.get(fault.kind, (0, {call}))
            if call not in calls:  # but perhaps the next
                process.faults.setdefault(process.calls + 1, []).append(act)
                return
            self.machine.note(f"fault {fault.kind}")
            if number:
                raise error(number, path)
            if fault.kind in STRANGERS:
                interfere(self.machine.files, self.invariants, fault.kind, random)
            else:
                self._happen(fault.kind, process, random)

        return act

    def _happen(self, kind: str, process: Process, random: Random) -> None:
        machine = self.machine
        if kind == "kill":
            machine.kill(process)
            raise machine.killed()
        if kind == "power":
            machine.lose_power(random)
            raise machine.killed()
        if kind == "stop":
            process.suspended = SUSPENDED_SECONDS
        elif kind == "clock":
            self.invariants.clock_jumped()
            machine.set_clock(random.choice(CLOCK_JUMPS))
        elif kind in ("freeze", "thaw"):
            machine.ticking = kind == "thaw"
        else:
            machine.files.free = random.randint(0, 400) if kind == "full" else None

    # What processes do

    def _task(self, op: Op) -> Task | None:
        if op.who[0] == "c":
            collector = self._collector(op.who)
            if op.kind == "term":
                collector.stop.stopped = True
                collector.promised = self.ledger.missing()
            return collector.task
        if op.who == "other":
            process = self.machine.start("other")
            return self.machine.spawn(process, lambda: self._other(process, op))
        process = self._process(op.who) or self.machine.start(op.who)
        if op.who not in self.writers or self.writers[op.who][0] is not process:
            self.writers[op.who] = process, None
        return self.machine.spawn(process, lambda: self._write(op))

    def _collector(self, name: str) -> Collector:
        collector = self.collectors.get(name)
        if collector is None or collector.process.dead:
            collector = self.collectors[name] = Collector(self, name)
        return collector

    def _write(self, op: Op) -> None:
        process, writer = self.writers[op.who]
        if writer is None:
            try:
                writer = identity.event_writer(self.settings, op.who)
            except OSError:
                self.machine.kill(process)  # an application that cannot create its folder
                return
            self.writers[op.who] = process, writer
        if op.kind == "close":
            writer.close()
            return
        made = [self._event(op.kind) for _ in range(op.events)]
        if op.kind == "together":
            writer.write_encoded(*map(encode, made))
        else:
            for event in made:
                writer.write(event)

    def _event(self, kind: str) -> dict[str, Any]:
        text = f"#{next(self._numbers)} {kind}"
        event = make_event(ORIGIN, "app", text, unix_ns=self.machine.time_ns())
        if kind == "refused":
            event["data_stream"] = "text"
        elif kind == "conflict":
            event["tidegate"] = {"model": "text"}
        return event

    def _other(self, process: Process, op: Op) -> None:
        """Another program, which appends lines without an id, and not always whole ones."""
        began = self.machine.monotonic
        with suppress(OSError):  # it does not try again
            number = self.calls.open(OTHER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            if not bytes(self.machine.described(number).data or b"\n").endswith(b"\n"):
                self.calls.write(number, b"\n")  # after a line that a full disk has left
            for _ in range(op.events):
                if not self._other_line(number, op.kind, began):
                    break
        self.machine.kill(process)

    def _other_line(self, number: int, kind: str, began: float) -> bool:
        if kind in ("junk", "long"):
            key = f"{kind} {next(self._numbers)}"
            line = b'{"%s' % key.encode() + b"x" * (70_000 if kind == "long" else 0) + b"\n"
            written = self.ledger.attempt(key, line, refused=True)
        else:
            # Of different lengths: a file as long, of the same name and number, is taken for the one before.
            event = self._event("plain" + "." * len(self.ledger.written))
            del event["event"]["id"]
            line = encode(event)
            written = self.ledger.attempt(self.key_of_line(line), line)
        written.began = began
        parts = (line[:100], line[100:]) if kind == "torn" else (line,)
        whole = sum(self.calls.write(number, part) for part in parts) == len(line)
        if whole:
            self.ledger.returned([written], self.machine.described(number))
        return whole

    @staticmethod
    def key_of_line(line: bytes) -> str:
        """What identifies the event of a line."""
        return key_of(orjson.loads(line))

    def _finish(self) -> None:
        """All faults end: everything arrives in a bounded number of steps, and files are bounded."""
        self._end_faults()
        for name, (process, writer) in self.writers.items():
            if writer is not None and not process.dead:
                self._step(Op(name, 0, "close"))
        if self._process("c1"):
            self._step(Op("c1", 1, "term"))
        deliver = Op("c0", 1, "deliver")
        steps = 40 + 3 * len(self.ledger.written)
        while missing := [one.key for one in self.ledger.missing()]:
            self._step(deliver)
            steps -= 1
            if not steps:
                raise ViolationError(f"not delivered after the faults have ended: {missing}")
        steps = 12
        while left := self.invariants.files_left():
            self.machine.pass_time(10.0)
            self._step(deliver)
            steps -= 1
            if not steps:
                raise ViolationError(left)
        self._step(deliver)
        self.invariants.check_told(lost_bytes() - self._lost_before)
        self._step(Op("c0", 1, "term"))
        if self.collectors["c0"].code != 0:
            raise ViolationError(f"the collector ends with {self.collectors['c0'].code}")
        self.invariants.check_quarantine()

    def _end_faults(self) -> None:
        machine, network = self.machine, self.network
        self.armed.clear()
        network.faults.clear()
        machine.files.free, machine.ticking = None, True
        self.invariants.clock_jumped()
        machine.set_clock(max(0.0, AFTERWARDS - machine.now))
        processes = [one.process for one in self.collectors.values()]
        for process in (*processes, *(process for process, _ in self.writers.values())):
            process.faults.clear()
        for late in network.late:
            late()

    def _step(self, op: Op) -> None:
        task = self._task(op)
        assert task is not None
        self.machine.run([task], Random(0))
        self.logstash.work(1000)


def lost_bytes() -> float:
    """What the collectors have counted as lost."""
    return next(iter(METRICS.lost_bytes.collect())).samples[0].value


@cache
def _settings(configuration: Configuration) -> Settings:
    made = Settings.model_validate(
        {
            "stack": {"data_dir": Path(DATA)},
            "store": {
                "kind": "embedded" if configuration.sink == "embedded" else "elasticsearch",
                "embedded": {"retention": "3650d"},
            },
            "collector": {
                "sink": "logstash" if configuration.sink == "logstash" else "store",
                "logstash": {"username": ""},
                "batch_events": configuration.batch_events,
                "batch_bytes": 65_536,
                "line_bytes": 16_384,
                "keep_seconds": configuration.keep_seconds,
                "keep_bytes": configuration.keep_bytes,
            },
        }
    )
    # Smaller than anybody may set it, so that a few events fill a file.
    telemetry = made.telemetry.model_copy(update={"file_bytes": configuration.file_bytes})
    return made.model_copy(update={"telemetry": telemetry})
