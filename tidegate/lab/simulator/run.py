"""Runs a policy on the simulated service."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidegate.autoscaler.types import Decision, Policy, Signals
from tidegate.autoscaler.wrappers.daily_rise import READ_SECONDS
from tidegate.lab.simulator.measurements import SimulatedMetrics
from tidegate.lab.simulator.replicas import SimulatedService, simulated_service
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Floats, Trace
from tidegate.lab.simulator.workload import Workload, generate_workload


@dataclass(frozen=True, slots=True)
class Tick:
    """The signals and the decision at a time in seconds."""

    at: float
    signals: Signals
    decision: Decision


@dataclass(frozen=True, eq=False, slots=True)
class Run:
    """The result of a policy on a trace.

    A response time is the wait plus the time in a slot until the byte of the objective.
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
    uses_history: bool = True,
    workload: Workload | None = None,
) -> Run:
    """Run a policy on a trace. The same arguments give the same run.

    Args:
        policy: decides every `tick_seconds`.
        trace: arrival rates, slow phases and metric blackouts.
        system: the simulated service.
        seed: of the requests; policies with the same seed get the same requests.
        tick_seconds: the time between decisions.
        uses_history: whether the policy uses the traffic of earlier days, which takes time to collect.
        workload: the requests, if known; None generates them from the trace's rates.
    """
    if workload is None:
        workload = generate_workload(trace, system, seed)
    service = simulated_service(system, workload, seed)
    metrics = SimulatedMetrics(system, trace.seconds, workload.arrivals, trace.blackouts)
    service.start_ready(system.start)
    desired, ticks = system.start, list[Tick]()
    state: dict[str, Any] = {}
    now, read_at, daily_rates = 0.0, -math.inf, list[list[float]]()
    for number in range(1, math.ceil(trace.seconds / tick_seconds)):
        now = number * tick_seconds
        _serve_until(service, trace, now - tick_seconds, now)
        metrics.record_started(service.started, service.services, service.concurrency)
        signals = metrics.read(now, ready=service.ready, running=service.running, desired=desired)
        if uses_history:
            if now - read_at >= READ_SECONDS:
                daily_rates, read_at = trace.daily_rates(now), now
            signals = replace(signals, daily_rates=daily_rates)
        if signals.slots_per_replica is not None and service.slots != system.slots:
            signals = replace(signals, slots_per_replica=service.slots)
        decision = policy(state, signals, now)
        ticks.append(Tick(now, signals, decision))
        state, desired = decision.state, decision.desired
        if decision.slots:
            service.set_slots(decision.slots, now)
        service.resize(desired, now)
    # Requests that still wait at the end are served by the existing replicas, or by a new one.
    if not service.running and len(service.started) < len(workload.arrivals):
        service.resize(1, now)
    _serve_until(service, trace, now, math.inf)
    counted = service.services * system.first_byte_share
    responses = np.array(service.started) - workload.arrivals + counted
    return Run(
        trace.seconds,
        workload.arrivals,
        responses,
        ticks,
        service.replica_seconds(trace.seconds),
    )


def _serve_until(service: SimulatedService, trace: Trace, begin: float, until: float) -> None:
    """Advance the service from one time to another, change by change."""
    now = begin
    while now < until:
        then = min(until, service.next_ready(), trace.next_change(now))
        service.serve(then, trace.slowness(now))
        service.make_ready(then)
        now = then
