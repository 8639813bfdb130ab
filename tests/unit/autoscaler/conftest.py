"""What the autoscaler's tests share: a place for its events, and decisions of a simulated hour."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.simulator.named_traces import find_trace
from tidegate.autoscaler.simulator.run import simulate
from tidegate.autoscaler.simulator.simulated_policy import simulated_policy
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.types import Decision, Policy, Signals
from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog, Terminal

from .room import Room, Run


@dataclass
class Desk:
    """An event log, and what has been written into it."""

    folder: Path
    terminal: io.StringIO = field(default_factory=io.StringIO)
    clock_ns: Callable[[], int] = lambda: 1_700_000_000_000_000_000

    def __post_init__(self) -> None:
        self.writer = EventWriter(self.folder, "autoscaler")
        origin = Origin("flights", "1.2.3", "test", "autoscaler", "default")
        self.event_log = EventLog(
            self.writer, origin, listeners=[Terminal(self.terminal)], clock_ns=self.clock_ns
        )

    def decided(
        self, policy: str, state: dict[str, Any], signals: Signals, now: float, decision: Decision
    ) -> None:
        record_decision(
            self.event_log, decision, policy=policy, state=state, signals=signals, now=now
        )

    def events(self, dataset: str) -> list[dict[str, Any]]:
        lines = [
            orjson.loads(line)
            for path in sorted(self.folder.iterdir())
            for line in path.read_bytes().splitlines()
        ]
        return [line for line in lines if line["event"]["dataset"] == f"tidegate.{dataset}"]

    def said(self) -> list[str]:
        return [event["message"] for event in self.events("app")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "logs")
    yield desk
    desk.writer.close()


@pytest.fixture
def run(desk: Desk) -> Run:
    return Run(Room(), desk)


# Two minutes before the spike's rise.
RISING = 216
START_NS = 1_772_438_400 * 10**9


def at_that_time(signals: Signals, now: float) -> Signals:
    return replace(signals, unix_seconds=START_NS / 1e9 + now)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Makes the decision events that a live autoscaler would have written over the trace `spike`.

    `around` is what was around the policy, `every` how many seconds its ticks were apart.
    """

    def record(
        words: str = "sloq",
        ticks: int = 120,
        around: Callable[[Policy], Policy] = lambda policy: policy,
        every: float = 5.0,
    ) -> list[dict[str, Any]]:
        system = System(startup_seconds=12.0)
        policy = around(simulated_policy(words, system).policy)

        def timed(state: dict[str, Any], signals: Signals, now: float) -> Decision:
            return policy(state, at_that_time(signals, now), now)

        run = simulate(timed, find_trace("spike"), system, seed=0, tick_seconds=every)
        at = [START_NS]
        folder = tmp_path / f"recorded-{len(list(tmp_path.iterdir()))}"
        desk = Desk(folder, clock_ns=lambda: at[0])
        state: dict[str, Any] = {}
        for number, tick in enumerate(run.ticks):
            if RISING <= number * every / 5.0 < RISING + ticks:
                at[0] = START_NS + int(tick.at * 1e9)
                seen = at_that_time(tick.signals, tick.at)
                desk.decided(words, state, seen, tick.at, tick.decision)
            state = tick.decision.state
        desk.writer.close()
        return desk.events("decision")

    return record
