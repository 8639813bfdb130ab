"""Fixtures of the autoscaler's tests: its event log, and recorded decisions of a simulated hour."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.harnesses.autoscaler_run import AutoscalerRun, FaultyResizer, RecordedEvents
from tidegate.autoscaler.simulator.named_traces import find_trace
from tidegate.autoscaler.simulator.run import simulate
from tidegate.autoscaler.simulator.simulated_policy import simulated_policy
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.types import Decision, Policy, Signals


@pytest.fixture
def recorded_events(tmp_path: Path) -> Iterator[RecordedEvents]:
    recorded_events = RecordedEvents(tmp_path / "logs")
    yield recorded_events
    recorded_events.writer.close()


@pytest.fixture
def run(recorded_events: RecordedEvents) -> AutoscalerRun:
    return AutoscalerRun(FaultyResizer(), recorded_events)


# Two minutes before the spike's rise.
RISING = 216
START_NS = 1_772_438_400 * 10**9


def at_that_time(signals: Signals, now: float) -> Signals:
    return replace(signals, unix_seconds=START_NS / 1e9 + now)


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Returns the decision events that a live autoscaler would have written on the trace `spike`.

    `wrap` wraps the policy, `every` is the time between ticks and `startup` that of replicas, in seconds.
    """

    def record(
        words: str = "sloq",
        ticks: int = 120,
        wrap: Callable[[Policy], Policy] = lambda policy: policy,
        every: float = 5.0,
        startup: float = 12.0,
    ) -> list[dict[str, Any]]:
        system = System(startup_seconds=startup)
        policy = wrap(simulated_policy(words, system).policy)

        def timed(state: dict[str, Any], signals: Signals, now: float) -> Decision:
            return policy(state, at_that_time(signals, now), now)

        run = simulate(timed, find_trace("spike"), system, seed=0, tick_seconds=every)
        at = [START_NS]
        folder = tmp_path / f"recorded-{len(list(tmp_path.iterdir()))}"
        recorded_events = RecordedEvents(folder, clock_ns=lambda: at[0])
        state: dict[str, Any] = {}
        for number, tick in enumerate(run.ticks):
            if RISING <= number * every / 5.0 < RISING + ticks:
                at[0] = START_NS + int(tick.at * 1e9)
                seen = at_that_time(tick.signals, tick.at)
                recorded_events.record(words, state, seen, tick.at, tick.decision)
            state = tick.decision.state
        recorded_events.writer.close()
        return recorded_events.events("decision")

    return record
