"""What the sentence of each tick says is so: its numbers are those of the signals and inputs of the tick."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest

from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.lab.simulator.comparison import TraceSpec, run_one
from tidegate.lab.simulator.run import Tick
from tidegate.lab.simulator.system import System

TRACES = (
    *("steady", "spike", "sawtooth", "slowdown", "outage", "idle-then-burst", "batches", "steps"),
    *("bursts-irregular", "lost-metrics", "flash-20x"),
)
SYSTEM = System(bounds=Bounds(2, 12))
NUMBER = r"([\d.e+-]+)"


def near(said: str, real: float) -> bool:
    """Whether a rounded number is that of the tick: two digits at least are said."""
    return math.isclose(float(said), real, rel_tol=0.06, abs_tol=0.06)


def change(said: tuple[str, ...], signals: Signals, decision: Decision) -> bool:
    return (int(said[0]), int(said[1])) == (signals.desired, decision.desired)


def work(said: tuple[str, ...], signals: Signals, decision: Decision) -> bool:
    rate, reserve, service, slots = said
    of_tick = decision.inputs
    known = max(signals.arrival_rate or 0.0, signals.arrival_rate_60s or 0.0)
    # Of 5 s, it is at most three times that of the 15 s around them, and what these have lost.
    least, most = min(known, 0.99 * of_tick["rate"]), 3 * (signals.arrival_rate or 0.0)
    return (
        near(rate, of_tick["rate"])
        and least <= float(rate) <= 1.01 * max(known, most)
        and (
            near(reserve, of_tick["reserve"])
            if reserve
            else of_tick["reserve"] <= 0.01 * of_tick["rate"]
        )
        and near(service, of_tick["service_seconds"])
        and near(slots, (of_tick["rate"] + of_tick["reserve"]) * of_tick["service_seconds"])
    )


def measured(said: tuple[str, ...], signals: Signals, decision: Decision) -> bool:
    latency, side = signals.latency_seconds, said[1]
    assert latency is not None
    # As a reader compares the two numbers.
    assert (float(said[0]) > SYSTEM.slo_seconds) == (side == "over")
    return near(said[0], latency) and (latency > SYSTEM.slo_seconds) == (side == "over")


def alone(said: tuple[str, ...], signals: Signals, decision: Decision) -> bool:
    return float(said[0]) >= float(said[1]) == SYSTEM.slo_seconds


CLAIMS: dict[str, Callable[[tuple[str, ...], Signals, Decision], bool]] = {
    r"^(\d+) → (\d+): ": change,
    r"^(\d+) held: ": lambda said, seen, now: int(said[0]) == seen.desired == now.desired,
    rf": \(?{NUMBER}(?: \+ {NUMBER} in reserve for bursts\))? requests/s × {NUMBER} s = {NUMBER} slots": work,  # noqa: RUF001
    rf"{NUMBER} requests will queue": lambda said, seen, now: near(said[0], now.inputs["backlog"]),
    r"; (\d+) replicas? of 4 slots keeps? ": lambda said, seen, now: (
        int(said[0]) == now.inputs["wanted"] == math.ceil(now.inputs["slots"] / 4)
    ),
    r"more than (\d+) replicas": lambda said, seen, now: (
        int(said[0]) == SYSTEM.bounds.max < now.inputs["wanted"]
    ),
    rf"p95 of the last minute is {NUMBER} s, (over|within) the": measured,
    rf"alone is {NUMBER} s, the objective {NUMBER} s": alone,
    rf"keeps a slot {NUMBER} times as": lambda said, seen, now: (
        near(said[0], now.inputs["occupancy"]) and now.inputs["occupancy"] > 1
    ),
    rf"requests wait {NUMBER} times as": lambda said, seen, now: (
        near(said[0], now.inputs["strain"]) and now.inputs["strain"] > 1
    ),
    r"; the maximum is (\d+)": lambda said, seen, now: (
        int(said[0]) == SYSTEM.bounds.max == now.desired
    ),
    r"; the minimum is (\d+)": lambda said, seen, now: (
        int(said[0]) == SYSTEM.bounds.min == now.desired
    ),
    r"needed up to (\d+)": lambda said, seen, now: int(said[0]) >= now.desired,
    r"the requests in the system have not changed": lambda said, seen, now: (
        bool(seen.in_system) and now.desired >= seen.desired
    ),
}
"""What a clause must hold against, by the clause."""


@lru_cache
def ticks(name: str) -> tuple[Tick, ...]:
    # `steps` with a replica that has half of the slots that it reports.
    system = replace(SYSTEM, slots=2, reported_slots=4) if name == "steps" else SYSTEM
    return tuple(run_one("sloq", TraceSpec(name), system, 0).ticks)


@pytest.mark.parametrize("name", TRACES)
def test_every_number_of_a_sentence_is_that_of_its_tick(name: str) -> None:
    for tick in ticks(name):
        text = tick.decision.explanation
        for clause, holds in CLAIMS.items():
            if found := re.search(clause, text):
                assert holds(found.groups(), tick.signals, tick.decision), (tick.at, clause, text)


def test_every_claim_is_made_in_some_run() -> None:
    texts = [tick.decision.explanation for name in TRACES for tick in ticks(name)]
    missing = [clause for clause in CLAIMS if not any(re.search(clause, one) for one in texts)]
    assert missing == []
