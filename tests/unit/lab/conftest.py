"""Recorded decisions of a simulated hour."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.harnesses.autoscaler_run import RecordedEvents
from tidegate.autoscaler.types import Decision, Policy, Signals
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.run import simulate
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System

# Two minutes before the spike's rise, and how long a recording is, in ticks of 5 s.
RISING, LONGEST = 216, 120
START_NS = 1_772_438_400 * 10**9


class RecordedEnough(Exception):  # noqa: N818 (it ends a simulation and is no error)
    """The rest of the simulated hour is not recorded."""


def record(
    folder: Path, words: str, wrap: Callable[[Policy], Policy] | None, every: float, startup: float
) -> list[bytes]:
    """Simulate a live autoscaler on the trace `spike`; returns its decision events."""
    system = System(startup_seconds=startup)
    policy = simulated_policy(words, system).policy
    policy = wrap(policy) if wrap else policy
    now_ns = START_NS
    events = RecordedEvents(folder, clock_ns=lambda: now_ns)

    def recorded(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        nonlocal now_ns
        tick = (now - every) / 5.0 - RISING
        if tick >= LONGEST:
            raise RecordedEnough
        # As by a resizer that tells no start-ups: the policy measures them by its ticks.
        seen = replace(signals, unix_seconds=START_NS / 1e9 + now, startups=())
        decision = policy(state, seen, now)
        if tick >= 0:
            now_ns = START_NS + int(now * 1e9)
            events.record(words, state, seen, now, decision)
        return decision

    with pytest.raises(RecordedEnough):
        simulate(recorded, find_trace("spike"), system, seed=0, tick_seconds=every)
    events.writer.close()
    return [orjson.dumps(event) for event in events.events("decision")]


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[dict[str, Any]]]:
    """Returns the decision events of the first `ticks` times 5 s of a recording.

    `wrap` wraps the policy, `every` is the time between ticks and `startup` that of replicas, in seconds. A
    simulation takes a second, so that of an unwrapped policy serves all tests.
    """
    kept: dict[tuple[str, float, float], list[bytes]] = {}

    def events(
        words: str = "sloq",
        ticks: int = LONGEST,
        wrap: Callable[[Policy], Policy] | None = None,
        every: float = 5.0,
        startup: float = 12.0,
    ) -> list[dict[str, Any]]:
        lines = None if wrap else kept.get((words, every, startup))
        if lines is None:
            lines = record(tmp_path_factory.mktemp("recorded"), words, wrap, every, startup)
        if not wrap:
            kept[words, every, startup] = lines
        assert ticks <= LONGEST
        return [orjson.loads(line) for line in lines[: ceil(ticks * 5.0 / every)]]

    return events
