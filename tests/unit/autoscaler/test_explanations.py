"""What policies and wrappers say of random histories is so, clause by clause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from support.components import AT_NIGHT, NIGHTLY
from support.explanations import Told
from support.policy_explanations import AROUND, CLAIMS, read
from support.samples.signals import CALM
from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.settings.schedule import ScheduleWindow

BOUNDS = Bounds(1, 12)
# Of each policy; half of them suffice in CI for what is said to be true.
TICKS, HISTORIES = 200, 4 if NIGHTLY else 2
DAY = 86_400.0
Random = np.random.Generator


def built(expression: str, around: str, slo_seconds: float) -> BuiltPolicy:
    """A policy, and what surrounds it."""
    bounds = Bounds(0, BOUNDS.max) if around == "to zero" else BOUNDS
    found = build_policy(expression, PolicyContext(bounds, slo_seconds))
    policy = found.policy
    if around == "zero":
        zero = ScaleToZeroParameters(BOUNDS.max, idle_seconds=30.0, stale_seconds=15.0)
        policy = scale_to_zero(policy, found.parameters, zero)
    elif around == "schedule":
        policy = scheduled(policy, [ScheduleWindow(cron="* 8-19 * * *", min=3, max=5)], BOUNDS)
    elif around == "pause":
        policy = apply_override(policy, Override(1e9), BOUNDS)
    elif around == "bounds":
        policy = apply_override(policy, Override(1e9, 2, 6), BOUNDS)
    return replace(found, policy=policy)


CASES = [
    *((name, "") for name in POLICIES),
    *(("sloq", around) for around in ("", "", "zero", "zero", "schedule", "pause", "bounds")),
    *(
        ("sloq:predictive=1", ""),
        ("hpa:predictive=1", "zero"),
        ("keda", "to zero"),
    ),
    *(("max(sloq,hpa)", ""), ("min(sloq,kpa,ray-serve:up_delay_seconds=0)", "")),
]

# Seldom made by chance; in the tests of SLOQ's capacity.
ELSEWHERE = ("as the model says", "complete no more requests")


def log(random: Random, low: float, high: float) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def signals(random: Random, of: dict[str, float], before: Signals, desired: int) -> Signals:
    """Of a service with these rates and times, now and then missing, wrong or unchanged."""
    if before.age_seconds and random.random() < of["still"]:
        return replace(before, desired=desired)
    slots, running = int(of["slots"]), 0 if of["away"] else max(0, desired)
    ready = int(random.integers(running + 1)) if random.random() < of["starting"] else running
    ready = 0 if of["starting"] == 1 else ready
    rate, service = of["rate"] * log(random, 0.7, 1.4), of["service"] * log(random, 0.8, 1.3)
    room = ready * slots
    waits = random.random() < of["queue"]
    busy = float(room if waits else min(room, random.poisson(min(rate * service, 1e6))))
    queued = float(1 + ready + random.poisson(20)) if waits else 0.0
    completed = (min(room, slots * of["machine"]) / service if waits else rate) * of["speed"]
    if waits and of["outside"]:
        busy = min(busy, float(round(completed * service)))
    if of["stuck"] and waits:
        completed = 0.0
    seen: dict[str, Any] = {
        "arrival_rate": rate,
        "arrival_rate_60s": of["rate"],
        "service_seconds": service if rate else None,
        "service_seconds_15s": service if rate else None,
        "service_seconds_p95": 2 * service if rate else None,
        "latency_seconds": (2 * service + queued * service / max(1, room)) if rate else None,
        "in_system": busy + queued,
        "in_system_60s": busy + queued,
        "busy": busy,
        "queued": queued,
        "busiest": float(slots + (random.random() < 0.05)),
        "completed_rate": completed,
        "slots_per_replica": slots,
        "waiting": None if desired else queued,
        "age_seconds": 1.0,
        "startups": (3.0, 5.0) if of["machine"] > 2 else (),
        "gateway_age_seconds": 1.0,
    }
    for name in seen.keys() - {"startups"}:
        if random.random() < of["missing"]:
            seen[name] = None
    if random.random() < of["missing"]:
        seen["age_seconds"] = log(random, 10.0, 100.0)
    problem = "Prometheus is away" if random.random() < of["missing"] else ""
    days = [[rate, rate, *[rate * log(random, 1.0, 3.0)] * 6] for _ in range(7)]
    return Signals(
        **seen,
        problem=problem,
        ready=ready,
        running=running,
        desired=desired,
        unix_seconds=random.uniform(0, DAY),
        daily_rates=[[rate, rate], *days],
    )


def history(expression: str, around: str, number: int) -> Iterator[tuple[str, Told]]:
    random = np.random.default_rng([40, number])
    slo_seconds = float(f"{log(random, 0.05, 20.0):.2g}")
    policy = built(expression, around, slo_seconds)
    state: dict[str, Any] = {}
    before: list[Told] = []
    of: dict[str, float] = {"slots": float(random.choice([1, 2, 4, 16]))}
    asked: int | None = None
    seen, desired, now = Signals(), int(random.integers(0 if "zero" in around else 1, 15)), 100.0
    for _ in range(TICKS):
        if not before or random.random() < 0.04:
            of |= {
                "rate": 0.0 if random.random() < 0.2 else log(random, 0.01, 3000.0),
                "service": log(random, 0.001, 20.0 if random.random() < 0.3 else slo_seconds / 4),
                "queue": float(random.choice([0.0, 0.3, 1.0])),
                "stuck": float(random.random() < 0.3),
                "machine": float(random.choice([2.0, 100.0])),
                "speed": log(random, 0.2, 2.0),
                "outside": float(random.random() < 0.5),
                "missing": float(random.choice([0.0, 0.0, 0.1, 1.0])),
                "still": float(random.choice([0.0, 0.1, 0.9])),
                "starting": float(random.choice([0.0, 0.0, 0.5, 1.0])),
                "away": float(random.random() < 0.1),
            }
        seen = replace(signals(random, of, seen, desired), slots_asked=asked)
        if before and expression.startswith("sloq") and random.random() < 0.1:
            arrived = float(random.poisson(min(1e6, of["rate"] * log(random, 0.5, 5.0))))
            seen = replace(
                before[-1].signals,
                gateway_arrivals=arrived,
                gateway_seconds=1.0,
                gateway_queued=arrived,
                gateway_dispersion=log(random, 1.0, 100.0),
                between=True,
                desired=desired,
            )
            now -= policy.tick_seconds / 2
        decision = policy.policy(state, seen, now)
        told = Told(now, seen, decision.desired, decision.inputs, list(before))
        yield decision.explanation, told
        before.append(told)
        state, now = decision.state, now + policy.tick_seconds
        asked = decision.slots or asked
        # Now and then somebody else sets another number.
        desired = (
            int(random.integers(15)) if random.random() < 0.03 * (number % 2) else decision.desired
        )


@lru_cache
def checked(case: int) -> tuple[set[str], list[str]]:
    """The clauses that the decisions make, and what is wrong with them."""
    expression, around = CASES[case]
    made: set[str] = set()
    wrong: list[str] = []
    for number in range(HISTORIES):
        for text, told in history(expression, around, 1000 * case + number):
            wrong += read(expression.removesuffix(":predictive=1"), text, told, made)
    return made, wrong


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: " ".join(CASES[case]))
def test_each_clause_of_random_decisions_holds(case: int) -> None:
    _, wrong = checked(case)
    assert wrong == []


@AT_NIGHT
def test_each_clause_is_made_by_some_decision() -> None:
    made = {clause for case in range(len(CASES)) for clause in checked(case)[0]}
    # Three were started from zero, and somebody's policy wants one.
    starting = replace(CALM, ready=0, running=3, desired=3)
    policy = built("static:replicas=1", "zero", 0.6).policy
    decision = policy({"waking": True}, starting, 5.0)
    told = Told(5.0, starting, decision.desired, decision.inputs)
    assert read("static", decision.explanation, told, made) == []
    known = {clause for claims in (*CLAIMS.values(), AROUND) for clause in claims}
    assert {one for one in known - made if not any(words in one for words in ELSEWHERE)} == set()
