"""How many slots the work needs so that few enough requests wait too long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Final

from tidegate.autoscaler.sloq.demand import Demand
from tidegate.autoscaler.sloq.learning import busy_with_arrivals
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.queueing import slots_needed
from tidegate.autoscaler.sloq.repetition import AHEAD_SECONDS
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState

# Above this mean utilisation, a small error in the load makes the queue grow without bound.
MAX_UTILISATION: Final = 0.97
# The measured peakedness of Poisson arrivals is that by chance.
CHANCE: Final = 1.2
# Above this, the recurrence of Erlang's formula takes too long.
MAX_SLOTS: Final = 100_000
LEAST_LATE: Final = 1e-9
# Requests in the system that are no backlog, as a multiple of the current work.
IN_TRANSIT_FACTOR: Final = 1.5


@dataclass(frozen=True, slots=True)
class Size:
    """A size in slots, and how it was calculated.

    Attributes:
        rate: requests a second to serve.
        service: mean time in a slot, in seconds.
        backlog: work of requests that queue but should not, in slots.
        load: work of the rate, the margin and the backlog, in slots.
        allowed: the wait that the objective leaves, in seconds.
        patience: the wait that at most the fraction `late` of requests may exceed, in seconds.
        late: that fraction.
        peakedness: how much more variable the traffic counts as than Poisson traffic.
        slowdown: how many times as long requests could take in a slot within the objective.
        slots: the slots needed for the load.
        stay_slots: the slots needed for the measured load plus a margin: no replica below this is removed.
        capped: whether more slots than the maximum are needed; how many is not calculated.
        meetable: whether more slots can help to meet the objective.
        notes: clauses for the explanation.
    """

    rate: float
    service: float
    backlog: float
    load: float
    allowed: float
    patience: float
    late: float
    peakedness: float
    slowdown: float
    slots: int
    stay_slots: int
    capped: bool
    meetable: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ahead:
    """Now, how far to look ahead, and the mean time in a slot, all in seconds."""

    now: float
    horizon_seconds: float
    service_seconds: float


def size_for(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    demand: Demand,
    horizon_seconds: float,
    *,
    now: float,
) -> Size:
    """The size for a demand. It never decreases when arrival rates increase.

    Args:
        parameters: of the policy.
        state: of the policy, updated at this tick.
        checked: the signals.
        demand: the current rate, and the forecast.
        horizon_seconds: how far ahead the forecast is.
        now: in seconds.
    """
    notes: list[str] = []
    # If a slowdown takes the time in a slot over the objective, replicas are not what is missing.
    alone = checked.service_seconds_p95 or 0.0
    mean = state.service_seconds or parameters.service_seconds
    slowed = state.slowed if max(alone, mean) * state.slowed < parameters.slo_seconds else 1.0
    service = mean * slowed
    first_byte = parameters.until == "first_byte"

    # The reserve covers forecast errors, and a rise that was forecast is none.
    rate = max(demand.ahead, demand.now + state.reserve, demand.foreseen)
    notes += _about_rate(state, demand, rate, horizon_seconds)
    there = _backlog_load(parameters, checked, demand.now * service, service)
    coming = _expected_backlog_load(
        parameters, state, checked, demand.now, Ahead(now, horizon_seconds, service)
    )
    backlog = max(there, coming)
    if backlog >= 0.1:
        drain = _drain_seconds(parameters, service)
        if there >= coming:
            notes.append(f"the backlog adds {there:.1f} slots for {drain:.3g} s")
        else:
            # Counted several times, it is to be worked off in as much less time.
            drain /= parameters.backlog_ahead
            notes.append(f"the backlog ahead adds {coming:.1f} slots for {drain:.3g} s")
    if state.margin > 0:
        notes.append(f"{state.margin:.0%} is added because latency exceeded the objective")
    load = rate * service * (1 + state.margin) + backlog
    # Forecasts and backlogs are temporary; replicas must stay for the measured load.
    stay_load_expected = (demand.now + state.reserve) * service * (1 + state.margin)
    # By Little's law, busy slots are a lower bound of the work, whatever the rates say. Three standard
    # deviations are subtracted for noise; a minute has less of it than a single sample.
    busy, minute = busy_with_arrivals(state, checked, now) or 0.0, state.busy or 0.0
    observed_load = max(
        busy - 3 * math.sqrt(busy), minute - 3 * math.sqrt(minute * state.busy_share)
    )
    stay_load = max(stay_load_expected * (1 + parameters.stay_margin), observed_load)

    allowed, slowdown = _left_of_objective(parameters, state, service, slowed)
    patience = allowed
    # An objective for every request: no size keeps it with certainty.
    late = max(LEAST_LATE, parameters.late_share * (1 - parameters.slo_quantile))
    # One replica more than the maximum is enough to show that the maximum is too low.
    per_replica = state.slots or checked.slots
    max_slots = min(MAX_SLOTS, math.ceil((parameters.max + 1) * per_replica))
    meetable = max(alone, 0.0 if first_byte else service) < parameters.slo_seconds
    peakedness = max(1.0, state.peakedness / CHANCE) * state.strain
    if state.strain > 1.05:
        notes.append(
            f"requests are taken to wait {state.strain:.2g} times as long because latency exceeded the"
            " objective"
        )
    if state.peakedness > 1.5:
        notes.append(f"traffic is {state.peakedness:.2g} times as variable as random arrivals")
    if meetable:
        needed = partial(
            slots_and_wait,
            allowed=allowed,
            service=service,
            patience_most=parameters.patience_most / slowdown,
            per_replica=per_replica,
            late=late,
            peakedness=peakedness,
            max_slots=max_slots,
        )
        (slots, patience), (stay, _) = needed(load), needed(stay_load)
    else:
        notes.append(
            "the objective cannot be met by adding replicas: the time in a slot"
            f"{' to the first byte' if first_byte else ''} alone is {alone or service:.2g} s, the objective"
            f" {parameters.slo_seconds:g} s"
        )
        # Enough that the queue does not grow, but limited: a broken dependency could need any number.
        cap = _max_slots_if_unmeetable(parameters, state.usual, per_replica)
        slots = math.ceil(min(load / MAX_UTILISATION, cap, max_slots))
        stay = math.ceil(min(stay_load / MAX_UTILISATION, cap, max_slots))
    return Size(
        rate=rate,
        service=service,
        backlog=backlog,
        load=load,
        allowed=allowed,
        patience=patience,
        late=late,
        peakedness=peakedness,
        slowdown=slowdown,
        slots=slots,
        stay_slots=stay,
        capped=slots >= max_slots,
        meetable=meetable,
        notes=tuple(notes),
    )


def slots_and_wait(
    load: float,
    *,
    allowed: float,
    service: float,
    patience_most: float,
    per_replica: float,
    late: float,
    peakedness: float,
    max_slots: int,
) -> tuple[int, float]:
    """The slots for a load, and the wait that at most the fraction `late` of requests exceeds with them.

    Of a long wait that the objective allows, only a part is planned for. The rest is for what no model knows,
    a jump or a slowdown: a size that uses it up for the chance of known traffic is so close to the load that
    it absorbs neither. But one replica that keeps the objective is enough: a second one is twice the cost.

    Args:
        load: in slots.
        allowed: the wait that the objective leaves, in seconds.
        service: the mean time in a slot, in seconds.
        patience_most: the wait to plan for at most, in times in a slot; 0: what is allowed.
        per_replica: the slots of a replica.
        late: see `slots_needed`, as the others.
        peakedness: of the traffic.
        max_slots: the maximum to return.
    """
    needed = partial(
        slots_needed,
        late=late,
        utilisation=MAX_UTILISATION,
        peakedness=peakedness,
        max_slots=max_slots,
    )
    slots, planned = needed(load, allowed / service), patience_most * service
    if patience_most <= 0 or planned >= allowed or slots <= per_replica:
        return slots, allowed
    return needed(load, planned / service), planned


def _left_of_objective(
    parameters: SloqParameters, state: SloqState, service: float, slowed: float
) -> tuple[float, float]:
    """What the objective leaves: the wait in seconds, and how many times as long requests could take.

    A request waits, and then uses up the objective in its slot until the first or the last byte. At least
    `patience_share` of the objective is left for the wait. Before the time to the first byte is measured,
    that is all: only the mean to the last byte is known.
    """
    slo, first_byte = parameters.slo_seconds, parameters.until == "first_byte"
    used = (state.service_seconds_p95 or (slo if first_byte else service)) * (
        1.0 if first_byte else slowed
    )
    wait = parameters.patience_share * slo
    return max(wait, slo - used), max(1.0, min(parameters.slowdown_most, (slo - wait) / used))


def _about_rate(state: SloqState, demand: Demand, rate: float, horizon_seconds: float) -> list[str]:
    """The clause about where the rate to serve comes from, if it is not the current one."""
    seen = max(demand.ahead, demand.now + state.reserve)
    if rate > seen:
        known = state.repetition
        right = f"{sum(known.cases)} of the last {len(known.cases)} such forecasts were right"
        within = (
            f"{rate:.3g} requests/s are expected within {horizon_seconds + AHEAD_SECONDS:.0f} s"
        )
        return [f"traffic repeats every {known.period:.0f} s: {within}; {right}"]
    if demand.ahead > demand.now:
        return [
            f"the rate of {demand.now:.3g} requests/s is rising, forecast {horizon_seconds:.0f} s ahead"
        ]
    if state.reserve > 0.01 * demand.now:
        return [f"{state.reserve:.3g} requests/s of that is a reserve for bursts"]
    return []


def _max_slots_if_unmeetable(
    parameters: SloqParameters, usual: float | None, per_replica: float
) -> float:
    """The maximum of slots while replicas cannot help: `broken_most` times the usual, below the maximum.

    At most half of the replicas between the usual number (the minimum, if the objective was never met) and
    the maximum are added, rounded down, so the maximum is reached only if it is the usual number.
    """
    before = parameters.min if usual is None else math.ceil(usual / per_replica)
    half_way = max(before, (before + parameters.max) // 2) * per_replica
    return half_way if usual is None else min(parameters.broken_most * usual, half_way)


def _expected_backlog_load(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    rate: float,
    ahead: Ahead,
) -> float:
    """The work of the requests that will queue when a replica started now is ready, in slots.

    A fluid: until then `rate` flows in, and the ready replicas' slots, and those of the starting ones from
    when they are ready on, each finish one request per time in a slot.
    """
    per_replica, horizon = state.slots or float(checked.slots), ahead.horizon_seconds
    startup = horizon - parameters.tick_seconds
    late = [max(0.0, at + startup - ahead.now) for at in state.starting]
    replica_seconds = state.ready * horizon + sum(max(0.0, horizon - wait) for wait in late)
    service = ahead.service_seconds
    queued = max(0.0, checked.in_system - state.ready * per_replica)
    expected = queued + rate * horizon - replica_seconds * per_replica / service
    if expected <= 0:
        return 0.0
    return parameters.backlog_ahead * expected * service / _drain_seconds(parameters, service)


def _backlog_load(
    parameters: SloqParameters, checked: CheckedSignals, load: float, service: float
) -> float:
    """The work of requests in the system beyond the normal number, in slots.

    It is to be worked off in `backlog_seconds`, or longer for long requests: a higher arrival rate, which
    raises the normal number, must never reduce the size.
    """
    excess = checked.in_system - IN_TRANSIT_FACTOR * load - 2 * math.sqrt(checked.in_system)
    return max(0.0, excess) * service / _drain_seconds(parameters, service)


def _drain_seconds(parameters: SloqParameters, service: float) -> float:
    return max(parameters.backlog_seconds, IN_TRANSIT_FACTOR * service)
