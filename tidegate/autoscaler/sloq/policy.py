"""SLOQ: the fewest replicas that meet a latency objective, by a queueing model of the service.

The number of slots comes from the M/M/c queue; what is measured corrects it. The policy reads top to bottom:
check the signals, correct the model, forecast the rate, size for it, pace the change. Its invariants:

- Bad data never removes a replica.
- A higher arrival rate never leads to fewer replicas.
- The target is absolute, so starting replicas count and a scale-up does not cascade.
- While replicas cannot meet the objective, they are added only to keep the queue from growing, and at most
  half-way to the maximum from where it was met.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.gateway_signals import READ_SECONDS
from tidegate.autoscaler.sloq.correct import (
    held_slots,
    learn_capacity,
    learn_replicas,
    learn_service,
    learn_strain,
    machine_is_full,
    quantile,
)
from tidegate.autoscaler.sloq.forecast import current_rate, gateway_rate, learn_reserve
from tidegate.autoscaler.sloq.pace import ScalingStep, pace, recent_largest
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals, check_signals
from tidegate.autoscaler.sloq.size import Demand, Size, lead_share, size_for
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import (
    Bounds,
    Decision,
    Policy,
    Signals,
    digits,
    format_change,
    plural,
)

# Half of a denormal number is 0, by which the size would be divided.
SHORTEST_SECONDS: Final = 1e-9
# The buckets of times beyond twice the objective are wide, and their quantiles known to within one.
EXACT_FACTOR: Final = 2.0
# Without usable signals for this long, the recent peak is covered.
BLIND_SECONDS: Final = 60.0
PEAK_SECONDS: Final = 3600.0
RECORDED: Final = (
    "latency_seconds",
    "in_system",
    "completed_rate",
    "ready",
    "running",
    "age_seconds",
    "gateway_arrivals",
    "gateway_seconds",
    "gateway_queued",
    "gateway_dispersion",
    "between",
)


def sloq(parameters: SloqParameters) -> Policy:
    """The policy with these parameters."""
    return _Sloq(parameters, asdict(parameters)).decide


@dataclass(frozen=True, slots=True)
class _Sloq:
    parameters: SloqParameters
    recorded: dict[str, Any]

    def decide(self, saved: dict[str, Any], signals: Signals, now: float) -> Decision:
        """Decide; see `Policy`."""
        parameters = self.parameters
        state = SloqState.from_json(saved)
        if state.now is not None and now < state.now:
            state = SloqState()  # the clock was set back, so the recorded times are invalid
        checked = check_signals(signals, state, parameters, now)
        if checked.unusable:
            return self._decide_without_signals(state, checked, signals, now)

        replicas = learn_replicas(state, signals.ready, signals.running, now)
        state = state.model_copy(update=replicas)
        # Between ticks the values of Prometheus are those of the last one, which has learned from any it had.
        if not signals.between or not state.service_seconds:
            state = state.model_copy(update=learn_service(state, checked, now))
        if not signals.between:
            corrected = {
                **learn_capacity(state, checked, parameters, now),
                **learn_strain(state, checked, parameters, now),
            }
            state = state.model_copy(update=corrected)
        held = held_slots(state, checked, parameters, now)
        # What few completed is no limit of what more do that complete nothing: theirs hang.
        full = not held and machine_is_full(state, checked, now)
        startups = checked.signals.startups or state.startups
        startup = quantile(startups, 0.9) if startups else parameters.startup_seconds
        senses = checked.signals.gateway_queued is not None
        every = READ_SECONDS if senses else parameters.tick_seconds
        read_at = state.now if signals.between and state.now is not None else now
        rate = current_rate(parameters, state, checked, read_at)
        known = (state.service_seconds or parameters.service_seconds) * state.occupancy
        service = max(SHORTEST_SECONDS, known * state.slowness)
        # Until a replica started by the next decision is ready.
        horizon = startup + every
        demand = Demand(now, rate, service, horizon, every, held)
        size = size_for(parameters, state, checked, demand)
        step = pace(
            parameters, state, checked, size, horizon, current=signals.desired, now=now, full=full
        )
        learned: dict[str, Any] = {"targets": step.targets, "surges": step.surges}
        if not state.targets and step.targets[0][1] > size.stay_slots:
            learned["kept_at"] = (now,)
        if not signals.between:
            tick = (now, checked.rate_15s, rate, checked.signals.queued)
            coverage = parameters.coverage * lead_share(checked, horizon)
            peak = state.peak * math.exp(-state.elapsed(now) / PEAK_SECONDS)
            learned |= {
                **checked.learned,
                # What a rate teaches must not be used for that same rate.
                **learn_reserve(state, tick, horizon, coverage),
                "now": now,
                "peak": max(peak, float(size.slots)) if size.meetable else peak,
            }
        after = state.model_copy(update=learned)
        return Decision(
            desired=step.desired,
            reason=_reason(step),
            explanation="; ".join(self._clauses(after, checked, size, step, demand)),
            inputs={
                "rate_15s": checked.rate_15s,
                "rate_60s": checked.rate_60s,
                **asdict(size),
                "horizon_seconds": horizon,
                "startup_seconds": startup,
                "startup_measured": bool(startups),
                "occupancy": state.occupancy,
                "slowness": state.slowness,
                "strain": state.strain,
                "machine_full": step.full,
                "slots_per_replica": checked.slots,
                "wanted": step.needed,
                "largest_target": step.largest,
                **{name: getattr(checked.signals, name) for name in RECORDED},
                "parameters": dict(self.recorded),
            },
            state=after.to_json(),
        )

    def _clauses(
        self,
        state: SloqState,
        checked: CheckedSignals,
        size: Size,
        step: ScalingStep,
        demand: Demand,
    ) -> Iterator[str]:
        """The explanation: the change, the work, the replicas needed, what was measured, and the limits."""
        rate, most = digits(size.rate, 4), self.parameters.max
        if size.reserve > 0.001 * size.rate:
            rate = f"({rate} + {digits(size.reserve, 4)} in reserve for bursts)"
        # With a digit more than their product, so that a reader can multiply them.
        seconds = f"{digits(size.service_seconds, 4)} s" + " (assumed)" * (
            not state.service_seconds
        )
        work = digits((size.rate + size.reserve) * size.service_seconds)
        change = format_change(step.current, step.desired)
        yield f"{change}: {rate} requests/s × {seconds} = {work} slots of work"  # noqa: RUF001
        yield from self._seen_by_gateway(state, checked, size)
        if size.held:
            yield (
                "others queue and none leaves, so requests that do not end hold"
                f" {plural(size.held, 'slot')}, not counted below"
            )
        if size.backlog >= 1:
            known = checked.signals.startups or state.startups
            takes = f"{digits(demand.horizon)} s" + ", as assumed until a start is measured" * (
                not known
            )
            requests = plural(round(size.backlog), "request")
            yield f"{requests} will queue before a new replica is ready (in {takes})"
        if size.spread:
            yield (
                "1 replica is enough for requests that are alike, not for these: p95 of the time in a slot is"
                f" {digits(size.spread)} times its mean"
            )
        elif size.meetable:
            aim = f"P(wait > {digits(size.wait_seconds)} s) ≤ {digits(100 * size.late)} %"
            number = f"more than {plural(most, 'replica')}"
            number = number if size.capped else plural(step.needed, "replica")
            keep = "keeps" if step.needed == 1 else "keep"
            yield f"{number} of {plural(checked.slots, 'slot')} {keep} {aim}"
        else:
            byte = " to the first byte" if self.parameters.until == "first_byte" else ""
            yield (
                f"the objective cannot be met by adding replicas: the time in a slot{byte} alone is"
                f" {self._about(size.alone_seconds)}{digits(size.alone_seconds)} s, the objective"
                f" {self.parameters.slo_seconds:g} s"
            )
            if size.tried:
                number = plural(size.tried, "replica")
                yield (
                    f"the queue grows with {number}, and no more are tried: half-way from what met it to the"
                    f" maximum of {self.parameters.max}"
                )
        yield from self._corrections(state, checked)
        yield from self._limits(state, checked, step, demand.now)

    def _seen_by_gateway(
        self, state: SloqState, checked: CheckedSignals, size: Size
    ) -> Iterator[str]:
        """What the gateway's counters show that Prometheus does not have yet."""
        signals = checked.signals
        if 0 < size.rate <= gateway_rate(self.parameters, state, checked):
            count = plural(round(signals.gateway_arrivals or 0), "request")
            seconds = digits(signals.gateway_seconds or 0)
            yield f"the gateway counted {count} within {seconds} s, a jump"
        if size.peakedness > max(1.05, state.strain):
            times = digits(signals.gateway_dispersion or 1.0)
            yield f"requests come in bunches: those of half a second vary {times} times as much as by chance"
        if signals.between and signals.gateway_queued:
            waiting = plural(round(signals.gateway_queued), "request")
            yield f"the gateway's queue has {waiting}"

    def _corrections(self, state: SloqState, checked: CheckedSignals) -> Iterator[str]:
        """The measured quantile of latency beside the objective, and what the model was corrected by."""
        latency, slo = checked.signals.latency_seconds, self.parameters.slo_seconds
        if latency is not None:
            over, count = "over" if latency > slo else "within", 3
            # 0.6004 s is over an objective of 0.6 s, but reads as within it.
            while count < 9 and (latency > slo) != (float(digits(latency, count)) > slo):
                count += 1
            quantile_name = f"p{100 * self.parameters.slo_quantile:g}"
            seconds = f"{self._about(latency)}{digits(latency, count)} s"
            measured = f"{quantile_name} of the last minute is {seconds}"
            yield f"{measured}, {over} the objective of {slo:g} s"
        if state.occupancy > 1.1:
            yield (
                f"each request keeps a slot {digits(state.occupancy)} times as long as it is processed in it,"
                " by what left while others queued: time is spent outside the slots, or there are fewer"
            )
        elif state.occupancy < 0.9:
            slots = checked.slots / state.occupancy
            yield f"a replica has {digits(slots)} slots as measured, not {checked.slots} as reported"
        if state.slowness > 1.05:
            yield (
                f"requests keep a slot {digits(state.slowness)} times as long as the mean says, by what left"
                " while others queued: some hang, or take longer than before"
            )
        if state.strain > 1.05:
            yield f"requests wait {digits(state.strain)} times as long as the model says"

    def _about(self, seconds: float) -> str:
        return "about " * (seconds > EXACT_FACTOR * self.parameters.slo_seconds)

    def _limits(
        self, state: SloqState, checked: CheckedSignals, step: ScalingStep, now: float
    ) -> Iterator[str]:
        """Why the number differs from the one needed."""
        parameters = self.parameters
        if step.needed > step.desired:
            yield (
                f"{step.current} replicas complete no more requests than fewer did, so none is added: the"
                " machine, or something else that all replicas share, is used up"
                if step.full
                else f"the maximum is {parameters.max}"
            )
        elif step.needed < step.desired:
            if step.desired >= step.current and checked.keep_replicas:
                yield checked.keep_replicas
            elif step.largest >= step.desired > parameters.min:
                margin = f" with a margin of {digits(100 * parameters.stay_margin)} %"
                why = (
                    f"ran {digits(now - step.largest_at)} s ago, when nothing was known of the load"
                    if step.lasting and step.largest_at in state.kept_at
                    else f"were needed {digits(now - step.largest_at)} s ago{margin * step.lasting}"
                )
                bound = f", but the maximum is {parameters.max}" * (step.largest > parameters.max)
                yield f"{step.largest} {why}, and stay for {digits(step.largest_seconds)} s{bound}"
            elif step.desired > parameters.min:
                yield f"the maximum is {parameters.max}"
            else:
                yield f"the minimum is {parameters.min}"

    def _decide_without_signals(
        self, state: SloqState, checked: CheckedSignals, signals: Signals, now: float
    ) -> Decision:
        """Without usable signals: never scale down, and after a while cover the recent peak.

        Nothing is added to replicas of which none is known: what runs is held until it is known.
        """
        parameters, current = self.parameters, signals.desired
        unknown_at = state.unknown_at if signals.ready > 0 or signals.running > 0 else now
        usable_at = state.ticks[-1][0] if state.ticks else now
        blind = now - (usable_at if unknown_at is None else max(usable_at, unknown_at))
        needed, why = current, ""
        learned = {**checked.learned, "now": now, "starting": (), "steady_since": None}
        learned["unknown_at"] = unknown_at
        if checked.slots:
            if blind >= BLIND_SECONDS:
                needed = max(current, math.ceil(state.peak / checked.slots))
            # The current number counts as a target, so that replicas stay when the signals return.
            targets = (*state.targets, (now, float(current * checked.slots)))
            targets = recent_largest(targets, since=now - parameters.down_seconds)
            kept = {*state.kept_at, now}
            learned |= {
                "targets": targets,
                "kept_at": tuple(at for at, _ in targets if at in kept),
            }
        if needed > current:
            why = f"; no usable signals for {blind:.0f} s, and the recent peak needs {needed} replicas"
        desired = Bounds(parameters.min, parameters.max).clamp(needed)
        # Without the resizer the counts are unknown; when it returns, the replicas are not new.
        if signals.ready > 0 or signals.running > 0:
            learned |= {"ready": max(0, signals.ready), "running": max(0, signals.running)}
        after = state.model_copy(update=learned)
        return Decision(
            desired=desired,
            reason="no-signal",
            explanation=f"{format_change(current, desired)}: {checked.unusable}{why}",
            inputs={
                "blind_seconds": blind,
                "peak_slots": state.peak,
                "ready": signals.ready,
                "running": signals.running,
                "age_seconds": checked.signals.age_seconds,
                "parameters": dict(self.recorded),
            },
            state=after.to_json(),
        )


def _reason(step: ScalingStep) -> str:
    """The reason: `up`, `down`, `limited` by the bounds, `stabilized` above the target, or `hold`."""
    if step.desired != step.current:
        return "up" if step.desired > step.current else "down"
    if step.needed > step.desired:
        return "limited"
    return "stabilized" if step.needed < step.desired else "hold"
