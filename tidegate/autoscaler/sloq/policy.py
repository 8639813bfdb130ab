"""SLOQ: the fewest replicas that meet a latency objective, by a queueing model of the service.

The number of slots comes from the M/M/c queue; measured latency only ever adds a margin. The policy reads
top to bottom: check the signals, learn from them, forecast the demand, size for it, pace the change.
Its invariants:

- Bad data never removes a replica.
- A higher arrival rate never leads to fewer replicas.
- Traffic that repeats is taken into account only while forecasts of it were right.
- The target is absolute, so starting replicas count and a scale-up does not cascade.
- While replicas cannot meet the objective, they are added only to keep the queue from growing, and never up
  to the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from tidegate.autoscaler.sloq.demand import (
    KEPT_SECONDS,
    Demand,
    due_rate,
    forecast,
    learn_peakedness,
    learn_reserve,
    recent_rate,
)
from tidegate.autoscaler.sloq.learning import (
    learn_busy,
    learn_margin,
    learn_replicas,
    learn_service,
    learn_slots,
    quantile,
)
from tidegate.autoscaler.sloq.pacing import (
    ScalingStep,
    hour_of_peaks,
    pace,
    recent_largest,
)
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.repetition import Foreseen, clearly_above, foresee, learn_repetition
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals, check_signals
from tidegate.autoscaler.sloq.sizing import Size, size_for
from tidegate.autoscaler.sloq.state import SloqState, TimedValue
from tidegate.autoscaler.sloq.wording import explain, reason
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

USUAL_SMOOTHING_SECONDS: Final = 300.0


def sloq(parameters: SloqParameters) -> Policy:
    """The policy with these parameters."""
    shorter = min(parameters.down_seconds, parameters.surge_seconds)
    quicker = replace(parameters, down_seconds=shorter)
    return _Sloq(parameters, quicker, asdict(parameters)).decide


@dataclass(frozen=True, slots=True)
class _Sloq:
    parameters: SloqParameters
    quicker: SloqParameters
    recorded: dict[str, Any]

    def decide(self, saved: dict[str, Any], signals: Signals, now: float) -> Decision:
        """Decide; see `Policy`."""
        parameters = self.parameters
        state = SloqState.from_json(saved)
        if state.now is not None and now < state.now:
            state = SloqState()  # the clock was set back, so the recorded times are invalid
        if state.asked not in {None, signals.desired}:
            # The last decision was not applied (paused, bounded), so no replica was removed.
            state = state.model_copy(update={"downs": ()})

        checked = check_signals(signals, state, parameters, now)
        if checked.unusable:
            return self._decide_without_signals(state, checked, signals, now)

        state = self._learn(state, checked, signals, now)
        horizon = self._horizon(state)
        demand = forecast(
            checked.rate_15s,
            checked.rate_60s,
            horizon,
            parameters.rise_sigmas,
            parameters.rise_most,
            peakedness=state.peakedness,
            burst_rate=recent_rate(state.rates, checked.rate_15s, now),
            burst_sigmas=parameters.burst_sigmas,
        )
        foreseen = self._foresee(state, now)
        proven = bool(parameters.repeats) and state.repetition.proven
        sized, paced = state, parameters
        if proven:
            # What is foreseen needs no reserve, and its replicas return in time.
            demand = replace(demand, foreseen=foreseen.high)
            sized = _with_reserve_beyond(state)
            paced = self.quicker
        size = size_for(parameters, sized, checked, demand, horizon, now=now)
        step = pace(paced, state, checked, size, current=signals.desired, now=now)
        return Decision(
            desired=step.desired,
            reason=reason(step),
            explanation=explain(parameters, state, checked, size, step),
            inputs={
                "rate_15s": checked.rate_15s,
                "rate_60s": checked.rate_60s,
                "rate_ahead": demand.ahead,
                "rate": size.rate,
                "reserve": sized.reserve,
                "horizon_seconds": horizon,
                "period_seconds": state.repetition.period,
                "rate_foreseen": foreseen.high,
                "foreseen_right": sum(state.repetition.cases),
                "foreseen_cases": len(state.repetition.cases),
                "repeats": proven,
                "service_seconds": size.service,
                "margin": state.margin,
                "strain": state.strain,
                "backlog": size.backlog,
                "load": size.load,
                "allowed_seconds": size.allowed,
                "patience_seconds": size.patience,
                "late": size.late,
                "peakedness": size.peakedness,
                "slowdown": size.slowdown,
                "meetable": size.meetable,
                "slots": size.slots,
                "stay_slots": size.stay_slots,
                "slots_per_replica": step.slots_per_replica,
                "wanted": step.needed,
                "largest_target": step.largest,
                "in_system": checked.in_system,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": checked.age_seconds,
                "parameters": dict(self.recorded),
            },
            state=self._remember(state, checked, demand, size, step, now=now).to_json(),
        )

    def _learn(
        self, state: SloqState, checked: CheckedSignals, signals: Signals, now: float
    ) -> SloqState:
        """The state with what this tick teaches, used in its own decision."""
        updates = {
            **learn_replicas(state, signals.ready, signals.running, now),
            **learn_service(state, checked, now),
            **learn_busy(state, checked, now),
            **learn_slots(state, checked, signals.ready, now),
            **learn_margin(state, checked, self.parameters, now),
        }
        return state.model_copy(update=updates)

    def _horizon(self, state: SloqState) -> float:
        """Seconds until a replica started by the next decision is ready: p90 of the observed start-ups."""
        parameters = self.parameters
        startup = quantile(state.startups, 0.9) if state.startups else parameters.startup_seconds
        return startup + parameters.tick_seconds

    def _remember(
        self,
        state: SloqState,
        checked: CheckedSignals,
        demand: Demand,
        size: Size,
        step: ScalingStep,
        *,
        now: float,
    ) -> SloqState:
        """The state for the next tick. What a rate teaches must not be used for that same rate."""
        learned = self._reserve_learner(state, checked, now)
        reserve, expected = learned(state.reserve, state.expected)
        usual = state.usual
        if size.meetable and usual is not None and state.now is not None:
            weight = 1 - math.exp((state.now - now) / USUAL_SMOOTHING_SECONDS)
            usual += weight * (size.slots - usual)
        elif size.meetable:
            usual = float(size.slots)
        rates = tuple(one for one in state.rates if now - KEPT_SECONDS <= one[0] < now)
        return state.model_copy(
            update={
                **self._learn_repetition(state, checked, demand, now),
                "rates": (*rates, (now, checked.rate_15s)),
                "peakedness": self._peakedness(state, checked, size),
                "now": now,
                "asked": step.desired,
                "seen": checked.seen,
                "traffic": checked.traffic,
                "queued": checked.queued,
                "still_since": checked.still_since,
                "unsure_at": checked.unsure_at,
                "repeats": checked.repeats,
                "blind_since": None,
                "expected": (*expected, (now, demand.ahead)),
                "reserve": reserve,
                "targets": step.window,
                "surges": step.surges,
                "peaks": hour_of_peaks(state.peaks, now, float(size.slots)),
                "usual": usual,
                "downs": step.downs,
            }
        )

    def _foresee(self, state: SloqState, now: float) -> Foreseen:
        if not self.parameters.repeats:
            return Foreseen()
        return foresee(state.repetition, now, self._horizon(state))

    def _reserve_learner(
        self, state: SloqState, checked: CheckedSignals, now: float
    ) -> Callable[[float, tuple[TimedValue, ...]], tuple[float, tuple[TimedValue, ...]]]:
        """`learn_reserve` for this tick's rate."""
        parameters = self.parameters
        return partial(
            learn_reserve,
            rate_15s=checked.rate_15s,
            now=now,
            horizon_seconds=self._horizon(state),
            coverage=parameters.reserve_coverage,
            step=parameters.reserve_step,
        )

    def _learn_repetition(
        self, state: SloqState, checked: CheckedSignals, demand: Demand, now: float
    ) -> dict[str, Any]:
        """What this tick teaches about traffic that repeats, and the reserve beyond what that foresees."""
        if not self.parameters.repeats:
            return {}
        horizon = self._horizon(state)
        foreseen = self._foresee(state, now)
        repetition = learn_repetition(
            state.repetition,
            checked.rate_15s,
            now,
            foreseen=foreseen.rate,
            expected=demand.ahead,
            horizon_seconds=horizon,
            peakedness=state.peakedness,
            missed=self._missed(state, checked.rate_15s, now),
        )
        if not repetition.period:
            return {"repetition": repetition, "reserve_beyond": None, "expected_beyond": ()}
        learned = self._reserve_learner(state, checked, now)
        before = _with_reserve_beyond(state).reserve
        reserve, expected = learned(before, state.expected_beyond)
        return {
            "repetition": repetition,
            "reserve_beyond": reserve,
            "expected_beyond": (*expected, (now, max(demand.ahead, foreseen.high))),
        }

    def _missed(self, state: SloqState, rate_15s: float, now: float) -> bool:
        """Whether more replicas were missing than would have been without what was foreseen."""
        horizon = self._horizon(state)
        beyond = due_rate(state.expected_beyond, now, horizon)
        without = due_rate(state.expected, now, horizon)
        if beyond is None or without is None:
            return False
        expected = beyond + _with_reserve_beyond(state).reserve
        return clearly_above(min(rate_15s, without + state.reserve), expected, state.peakedness)

    def _peakedness(self, state: SloqState, checked: CheckedSignals, size: Size) -> float:
        """As learned from this tick. A queue of an overload is no sign of variable arrivals."""
        if size.backlog > 0 or state.steady_since is None or not size.meetable:
            return state.peakedness
        expected = checked.rate_15s * size.service
        most = self.parameters.peakedness_most
        return learn_peakedness(state.peakedness, checked.in_system, expected, most=most)

    def _decide_without_signals(
        self, state: SloqState, checked: CheckedSignals, signals: Signals, now: float
    ) -> Decision:
        """Without usable signals: never scale down, and after a while cover the peak of the last hour."""
        parameters, current = self.parameters, signals.desired
        since = now if state.blind_since is None else state.blind_since
        per_replica = state.slots or float(state.told_slots or checked.slots)
        peak = max((slots for _, slots in state.peaks), default=0.0)
        needed, why = current, ""
        if now - since >= parameters.blind_seconds and per_replica:
            needed = max(current, math.ceil(peak / per_replica))
        if needed > current:
            why = (
                f"; no usable signals for {now - since:.0f} s, and the peak of the last hour needs"
                f" {needed} replicas"
            )
        desired = Bounds(parameters.min, parameters.max).clamp(needed)

        # The current number counts as a target, so that replicas stay when the signals return.
        targets = (*state.targets, (now, current * per_replica)) if per_replica else state.targets
        # Without the resizer the counts are unknown; when it returns, the replicas are not new.
        away = signals.ready <= 0 and signals.running <= 0
        after = state.model_copy(
            update={
                "now": now,
                "asked": desired,
                "seen": checked.seen,
                "traffic": checked.traffic,
                "still_since": checked.still_since,
                "unsure_at": checked.unsure_at,
                "repeats": checked.repeats,
                "blind_since": since,
                "ready": state.ready if away else max(0, signals.ready),
                "running": state.running if away else max(0, signals.running),
                "busy": None,
                "queued": None,
                "starting": (),
                "steady_since": None,
                "expected": (),
                "expected_beyond": (),
                "rates": (),
                "targets": recent_largest(targets, since=now - parameters.down_seconds),
            }
        )
        return Decision(
            desired=desired,
            reason="no-signal",
            explanation=f"{format_change(current, desired)}: {checked.unusable}{why}",
            inputs={
                "blind_seconds": now - since,
                "hour_peak_slots": peak,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": checked.age_seconds,
                "parameters": dict(self.recorded),
            },
            state=after.to_json(),
        )


def _with_reserve_beyond(state: SloqState) -> SloqState:
    """The state with the reserve beyond what is foreseen as its reserve, if there is one."""
    if state.reserve_beyond is None:
        return state
    return state.model_copy(update={"reserve": state.reserve_beyond})
