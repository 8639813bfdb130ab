"""SLOQ: as few replicas as keep a latency objective, by a queueing model of the service.

The goal is the objective; the size comes from the M/M/c queue; latency only ever adds a margin. The
policy reads top to bottom: what can be believed, what was learned, how much work there will be, how
many slots that takes, and how fast to go there. Four rules hold whatever happens:

- Bad data never takes a replica away.
- A higher arrival rate never leads to fewer replicas.
- The target is absolute, so replicas that are starting count and nothing cascades.
- Where replicas cannot help, they are added for the sake of the queue only, and never up to the maximum.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.sloq.demand import Demand, foresee, learn_reserve
from tidegate.autoscaler.sloq.learning import (
    learn_busy,
    learn_margin,
    learn_replicas,
    learn_service,
    learn_slots,
    quantile,
)
from tidegate.autoscaler.sloq.pacing import Move, hour_of_peaks, pace, recent_largest
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import Evidence, weigh
from tidegate.autoscaler.sloq.sizing import Size, size_for
from tidegate.autoscaler.sloq.state import Memory
from tidegate.autoscaler.sloq.wording import explain, reason
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, change_words

USUAL_SMOOTHING_SECONDS: Final = 300.0


def sloq(parameters: SloqParameters) -> Policy:
    """The policy with these parameters."""
    return _Sloq(parameters).decide


@dataclass(frozen=True, slots=True)
class _Sloq:
    parameters: SloqParameters

    def decide(self, state: dict[str, Any], signals: Signals, now: float) -> Decision:
        """As every policy."""
        told = self.parameters
        memory = Memory.read(state)
        if memory.now is not None and now < memory.now:
            memory = Memory()  # the clock was set back: no time in there is of this one
        if memory.asked not in {None, signals.desired}:
            # It did not come about (paused, bounded): nobody left.
            memory = memory.model_copy(update={"downs": ()})

        evidence = weigh(signals, memory, told.stale_seconds, told.frozen_ticks)
        if evidence.blind:
            return self._stay(memory, evidence, signals, now)

        memory = self._learn(memory, evidence, signals, now)
        horizon = self._horizon(memory)
        demand = foresee(
            evidence.rate_15s, evidence.rate_60s, horizon, told.rise_sigmas, told.rise_most
        )
        size = size_for(told, memory, evidence, demand, horizon)
        move = pace(told, memory, evidence, size, held=signals.desired, now=now)
        return Decision(
            desired=move.desired,
            reason=reason(move),
            explanation=explain(told, memory, evidence, size, move),
            inputs={
                "rate_15s": evidence.rate_15s,
                "rate_60s": evidence.rate_60s,
                "rate_ahead": demand.ahead,
                "rate": size.rate,
                "reserve": memory.reserve,
                "horizon_seconds": horizon,
                "service_seconds": size.service,
                "margin": memory.margin,
                "backlog": size.backlog,
                "load": size.load,
                "stop_timeout_seconds": size.patience,
                "late": size.late,
                "meetable": size.meetable,
                "slots": size.slots,
                "stay_slots": size.stay_slots,
                "slots_per_replica": move.slots_per_replica,
                "wanted": move.wanted,
                "largest_target": move.largest,
                "in_system": evidence.in_system,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": evidence.age_seconds,
                "parameters": asdict(told),
            },
            state=self._remember(memory, evidence, demand, size, move, now=now).state(),
        )

    def _learn(self, memory: Memory, evidence: Evidence, signals: Signals, now: float) -> Memory:
        """What this tick teaches and is used at once."""
        latency, slo = evidence.latency_seconds, self.parameters.slo_seconds
        updates = {
            **learn_replicas(memory, signals.ready, signals.running, now),
            **learn_service(memory, evidence, now),
            **learn_busy(memory, evidence.busy, now),
            **learn_slots(memory, evidence, signals.ready, now),
            **learn_margin(memory, latency, slo, now),
        }
        return memory.model_copy(update=updates)

    def _horizon(self, memory: Memory) -> float:
        """Seconds until a replica is ready that the next decision starts: p90 of those that were."""
        told = self.parameters
        startup = quantile(memory.startups, 0.9) if memory.startups else told.startup_seconds
        return startup + told.tick_seconds

    def _remember(
        self,
        memory: Memory,
        evidence: Evidence,
        demand: Demand,
        size: Size,
        move: Move,
        *,
        now: float,
    ) -> Memory:
        """What the next tick is told; what the rate teaches must not be used on the rate itself."""
        told = self.parameters
        reserve, expected = learn_reserve(
            memory.reserve,
            memory.expected,
            evidence.rate_15s,
            now,
            horizon_seconds=self._horizon(memory),
            coverage=told.reserve_coverage,
            step=told.reserve_step,
        )
        usual = memory.usual
        if size.meetable and usual is not None and memory.now is not None:
            weight = 1 - math.exp((memory.now - now) / USUAL_SMOOTHING_SECONDS)
            usual += weight * (size.slots - usual)
        elif size.meetable:
            usual = float(size.slots)
        return memory.model_copy(
            update={
                "now": now,
                "asked": move.desired,
                "seen": evidence.seen,
                "traffic": evidence.traffic,
                "repeats": evidence.repeats,
                "blind_since": None,
                "expected": (*expected, (now, demand.ahead)),
                "reserve": reserve,
                "targets": move.window,
                "surges": move.surges,
                "peaks": hour_of_peaks(memory.peaks, now, float(size.slots)),
                "usual": usual,
                "downs": move.downs,
            }
        )

    def _stay(self, memory: Memory, evidence: Evidence, signals: Signals, now: float) -> Decision:
        """Without anything to believe: never down, and in the long run what the last hour needed."""
        told, held = self.parameters, signals.desired
        since = now if memory.blind_since is None else memory.blind_since
        per_replica = memory.slots or float(memory.told_slots or evidence.slots)
        peak = max((slots for _, slots in memory.peaks), default=0.0)
        needed, why = held, ""
        if now - since >= told.blind_seconds and per_replica:
            needed = max(held, math.ceil(peak / per_replica))
        if needed > held:
            why = f"; blind for {now - since:.0f} s, and the last hour needed {needed} replicas"
        desired = Bounds(told.min, told.max).clamp(needed)

        # What is held now counts as a target, so that nothing shrinks as soon as signals are back.
        targets = (*memory.targets, (now, held * per_replica)) if per_replica else memory.targets
        # Without the resizer nobody knows how many run: the replicas are not new when it is back.
        away = signals.ready <= 0 and signals.running <= 0
        after = memory.model_copy(
            update={
                "now": now,
                "asked": desired,
                "seen": evidence.seen,
                "traffic": evidence.traffic,
                "repeats": evidence.repeats,
                "blind_since": since,
                "ready": memory.ready if away else max(0, signals.ready),
                "running": memory.running if away else max(0, signals.running),
                "busy": None,
                "starting": (),
                "steady_since": None,
                "expected": (),
                "targets": recent_largest(targets, since=now - told.down_seconds),
            }
        )
        return Decision(
            desired=desired,
            reason="no-signal",
            explanation=f"{change_words(held, desired)}: {evidence.blind}{why}",
            inputs={
                "blind_seconds": now - since,
                "hour_peak_slots": peak,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": evidence.age_seconds,
                "parameters": asdict(told),
            },
            state=after.state(),
        )
