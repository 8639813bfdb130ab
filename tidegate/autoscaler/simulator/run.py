"""A policy in charge of the simulated service, and how it did."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidegate.autoscaler.policies.predictive import AHEAD_SECONDS
from tidegate.autoscaler.simulator.measurements import SimulatedMetrics
from tidegate.autoscaler.simulator.replicas import SimulatedService
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Floats, Trace
from tidegate.autoscaler.simulator.workload import Workload, generate_workload
from tidegate.autoscaler.types import Decision, Policy, Signals


@dataclass(frozen=True, slots=True)
class Tick:
    """What a policy saw and decided at a time in seconds."""

    at: float
    signals: Signals
    decision: Decision


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """What became of a trace under a policy.

    Attributes:
        seconds: the trace's length.
        arrivals: when each request arrived.
        responses: how long each took as the client felt it: its wait and its time in a slot.
        ticks: every decision.
        replica_seconds: what was paid for, within the trace's length.
    """

    seconds: float
    arrivals: Floats
    responses: Floats
    ticks: list[Tick]
    replica_seconds: float


def simulate(
    policy: Policy,
    trace: Trace,
    system: System,
    *,
    seed: int,
    tick_seconds: float = 5.0,
    workload: Workload | None = None,
) -> Run:
    """Run a policy over a trace. The same arguments give the same run.

    Args:
        policy: what decides, every `tick_seconds`, from the state that it last gave.
        trace: the requests, and what goes wrong.
        system: the service.
        seed: of the requests' randomness; policies with the same seed meet the same requests.
        tick_seconds: from one decision to the next.
        workload: the requests, where they are known; else they are drawn at the trace's rates.
    """
    if workload is None:
        workload = generate_workload(trace, system, seed)
    service = SimulatedService(system.slots, system.startup_seconds, workload)
    metrics = SimulatedMetrics(system, trace.seconds, workload.arrivals, trace.blackouts)
    service.begin(system.start)
    desired, ticks = system.start, list[Tick]()
    state: dict[str, Any] = {}
    now = 0.0
    for number in range(1, math.ceil(trace.seconds / tick_seconds)):
        now = number * tick_seconds
        _serve_until(service, trace, now - tick_seconds, now)
        metrics.absorb(service.started, service.services)
        signals = metrics.read(now, ready=service.ready, running=service.running, desired=desired)
        expected = trace.expected_rate(now, AHEAD_SECONDS)
        signals = replace(signals, expected_rate=expected)
        if signals.slots_per_replica is not None and service.slots != system.slots:
            signals = replace(signals, slots_per_replica=service.slots)
        decision = policy(state, signals, now)
        ticks.append(Tick(now, signals, decision))
        state, desired = decision.state, decision.desired
        if decision.slots:
            service.set_slots(decision.slots, now)
        service.resize(desired, now)
    # Whoever still waits at the end is served by the replicas that there are, or by one that comes.
    if not service.running and len(service.started) < len(workload.arrivals):
        service.resize(1, now)
    _serve_until(service, trace, now, math.inf)
    responses = np.array(service.started) - workload.arrivals + service.services
    return Run(
        trace.seconds,
        workload.arrivals,
        responses,
        ticks,
        service.replica_seconds(trace.seconds),
    )


def _serve_until(service: SimulatedService, trace: Trace, begin: float, until: float) -> None:
    """Let the service run from one time to another, from each change in between to the next."""
    now = begin
    while now < until:
        then = min(until, service.next_ready(), trace.next_change(now))
        service.serve(then, trace.slowness(now))
        service.make_ready(then)
        now = then
