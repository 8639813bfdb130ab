"""Runs a policy on the simulated service."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tidegate.autoscaler import gateway_signals
from tidegate.autoscaler.gateway_signals import GatewayRead, decide_between, later, with_gateway
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
    uses_gateway: bool = False,
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
        uses_gateway: whether it decides between ticks, too, by the gateway's counters.
        workload: the requests, if known; None generates them from the trace's rates.
    """
    if workload is None:
        workload = generate_workload(trace, system, seed)
    service = simulated_service(system, workload, seed)
    metrics = SimulatedMetrics(system, trace.seconds, workload.arrivals, trace.blackouts)
    service.start_ready(system.start)
    loop = _Loop(
        *(policy, trace, service, metrics, system, uses_history, uses_gateway, system.start)
    )
    for number in range(1, math.ceil(trace.seconds / tick_seconds)):
        due = number * tick_seconds
        while loop.reads_gateway and due - loop.now > gateway_signals.READ_SECONDS:
            loop.serve_until(loop.now + gateway_signals.READ_SECONDS)
            loop.sense()
        loop.serve_until(due)
        loop.tick()
    # Requests that still wait at the end are served by the existing replicas, or by a new one.
    if not service.running and len(service.started) < len(workload.arrivals):
        service.resize(1, loop.now)
    loop.serve_until(math.inf)
    counted = service.services * system.first_byte_share
    responses = np.array(service.started) - workload.arrivals + counted
    return Run(
        trace.seconds,
        workload.arrivals,
        responses,
        loop.ticks,
        service.replica_seconds(trace.seconds),
    )


@dataclass(slots=True)
class _Loop:
    """The control loop in simulated time, as `tidegate.autoscaler.live.loop` has it."""

    policy: Policy
    trace: Trace
    service: SimulatedService
    metrics: SimulatedMetrics
    system: System
    uses_history: bool
    uses_gateway: bool
    desired: int
    now: float = 0.0
    ticks: list[Tick] = field(default_factory=list)
    _state: dict[str, Any] = field(default_factory=dict)
    _daily_rates: list[list[float]] = field(default_factory=list)
    _daily_read_at: float = -math.inf
    # What Prometheus had at the last tick, and when that was.
    _measured: Signals = field(default_factory=Signals)
    _measured_at: float = 0.0
    _reads: list[GatewayRead] = field(default_factory=list)
    _arrived: int = 0
    _gateway_read_at: float = 0.0

    def serve_until(self, until: float) -> None:
        """Advance the service to a time, change by change."""
        while self.now < until:
            then = min(until, self.service.next_ready(), self.trace.next_change(self.now))
            self.service.serve(then, self.trace.slowness(self.now))
            self.service.make_ready(then)
            self.now = then

    @property
    def reads_gateway(self) -> bool:
        """Whether the gateway is read: for a policy that uses it, and for each at zero replicas."""
        return self.uses_gateway or self.desired == 0

    def _read_gateway(self) -> None:
        """Count what has arrived at the gateway since the last read, and what waits."""
        arrived = int(np.searchsorted(self.service.workload.arrivals, self.now, "right"))
        seconds, arrivals = self.now - self._gateway_read_at, arrived - self._arrived
        self._gateway_read_at, self._arrived = self.now, arrived
        self._reads.append(GatewayRead(seconds, arrivals, arrived - len(self.service.started)))
        del self._reads[: -gateway_signals.KEPT_READS]

    def tick(self) -> None:
        """Read all signals and decide."""
        now, service = self.now, self.service
        if self.reads_gateway and self._gateway_read_at < now:
            self._read_gateway()
        self.metrics.record_started(service.started, service.services, service.concurrency)
        signals = self.metrics.read(
            now, ready=service.ready, running=service.running, desired=self.desired
        )
        if self.uses_history:
            if now - self._daily_read_at >= READ_SECONDS:
                self._daily_rates, self._daily_read_at = self.trace.daily_rates(now), now
            signals = replace(signals, daily_rates=self._daily_rates)
        if signals.slots_per_replica is not None and service.slots != self.system.slots:
            signals = replace(signals, slots_per_replica=service.slots)
        signals = replace(signals, startups=service.startups)
        if not signals.problem:
            self._measured, self._measured_at = signals, now
        if self.desired == 0:
            signals = replace(signals, waiting=self._reads[-1].queued)
        if self.reads_gateway:
            signals = with_gateway(signals, self._reads, at_tick=True)
        self._carry_out(self.policy(self._state, signals, now), signals)

    def sense(self) -> None:
        """Read the gateway between two ticks, and decide if its counters show a jump or a queue."""
        self._read_gateway()
        if self.desired == 0:
            if self._reads[-1].queued:
                self.tick()
            return
        if self.desired >= self.system.bounds.max:
            return
        signals = replace(
            later(self._measured, self.now - self._measured_at),
            ready=self.service.ready,
            running=self.service.running,
            desired=self.desired,
            startups=self.service.startups,
        )
        seen = with_gateway(signals, self._reads)
        if decision := decide_between(self.policy, self._state, seen, self.now):
            self._carry_out(decision, seen)

    def _carry_out(self, decision: Decision, signals: Signals) -> None:
        self.ticks.append(Tick(self.now, signals, decision))
        self._state, self.desired = decision.state, decision.desired
        if decision.slots:
            self.service.set_slots(decision.slots, self.now)
        self.service.resize(self.desired, self.now)
