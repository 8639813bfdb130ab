"""How many slots the work needs so that few enough requests wait too long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from tidegate.autoscaler.gateway_signals import READ_SECONDS
from tidegate.autoscaler.sloq.correct import allowed_wait
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.queueing import slots_needed
from tidegate.autoscaler.sloq.signal_checks import SHORT_SECONDS, CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState

# Above this mean utilisation, a small error in the load makes the queue grow without bound.
MAX_UTILISATION: Final = 0.97
LEAST_LATE: Final = 1e-9
# How much of the peakedness of arrivals counts: the rest is in the wait that is not planned for.
PEAKED_SHARE: Final = 0.7
# From where a replica takes this long to be ready, what may come until then is planned for in full.
SLOW_SECONDS: Final = 10.0
# In how much time the backlog ahead is worked off, before it is counted several times.
BACKLOG_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Size:
    """A size in slots, and how it was calculated.

    Attributes:
        rate: requests a second that arrive.
        reserve: requests a second in reserve for bursts.
        service_seconds: how long a request occupies a slot, in seconds.
        backlog: requests that will queue when a replica started now is ready.
        load: work of the rate, the reserve and the backlog, in slots.
        wait_seconds: the wait that at most the fraction `late` of requests may exceed, in seconds.
        late: that fraction.
        alone_seconds: the time of a request without any wait, in seconds: p95, at least the mean.
        slots: the slots needed for the load.
        stay_slots: the slots needed for the measured load plus a margin: no replica below this is removed.
        capped: whether more slots than the maximum are needed; how many is not calculated.
        meetable: whether more slots can help to meet the objective.
        held: the slots whose requests hang; they are among `slots`, and do no work.
        tried: the most replicas that are tried while the objective cannot be met, if that are fewer than keep
            the queue from growing, else 0.
        peakedness: how many times longer requests wait than with Poisson arrivals and by the model.
        spread: p95 of the time in a slot in means, if only because of it one replica is not enough, else 0.
    """

    rate: float
    reserve: float
    service_seconds: float
    backlog: float
    load: float
    wait_seconds: float
    late: float
    alone_seconds: float
    slots: int
    stay_slots: int
    capped: bool
    meetable: bool
    held: int
    tried: int
    peakedness: float
    spread: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What arrives at a tick, and how soon another replica helps.

    Attributes:
        now: the time in seconds.
        rate: the current arrival rate, in requests a second.
        service: how long a request occupies a slot, in seconds.
        horizon: seconds until a replica started by the next decision is ready.
        every: seconds until that decision.
        held: the slots of ready replicas whose requests hang.
    """

    now: float
    rate: float
    service: float
    horizon: float
    every: float
    held: int = 0


def size_for(
    parameters: SloqParameters, state: SloqState, checked: CheckedSignals, demand: Demand
) -> Size:
    """The size for a demand. It never decreases when arrival rates increase."""
    service = demand.service
    mean = state.service_seconds or parameters.service_seconds
    first_byte = parameters.until == "first_byte"
    p95 = state.service_seconds_p95
    # Before the time to the first byte is measured, only the mean to the last byte is known.
    alone = max(p95 or 0.0, 0.0 if first_byte else mean)
    meetable = alone < parameters.slo_seconds
    backlog = _backlog_ahead(state, checked, demand)
    work = (demand.rate + state.reserve) * service
    load = work + backlog * service * parameters.backlog_ahead / BACKLOG_SECONDS
    stay_load = max(work * (1 + parameters.stay_margin), _observed(state, checked, service))
    late = max(LEAST_LATE, parameters.late_share * (1 - parameters.slo_quantile))
    # One replica more than the maximum is enough to show that the maximum is too low.
    most = (parameters.max + 1) * checked.slots
    peaked = peakedness(parameters, state, checked, service)
    wait = allowed_wait(parameters, p95 or (parameters.slo_seconds if first_byte else mean))
    if meetable:
        share = 1 - (1 - parameters.wait_share) * lead_share(checked, demand.horizon)
        planned = min(wait, share * max(wait, service))
        within = partial(
            slots_needed, utilisation=MAX_UTILISATION, peakedness=peaked, max_slots=most
        )

        spread = (p95 or 0.0) / mean
        one = partial(
            slots_needed,
            patience=max(wait, parameters.slo_seconds - service) / service,
            late=max(LEAST_LATE, 1 - parameters.slo_quantile),
            utilisation=MAX_UTILISATION,
            peakedness=min(peaked + _excess_variability(spread), parameters.correction_most),
            max_slots=checked.slots + 1,
        )

        def slots(load: float) -> tuple[int, float, float]:
            """The slots for a load, the wait that they keep, and why one replica is too few."""
            needed = within(load, wait / service, late)
            if needed > checked.slots:
                return within(load, planned / service, late), planned, 0.0
            # One replica that keeps the objective is enough: a second one is twice the cost.
            if one(load) <= checked.slots:
                return needed, wait, 0.0
            return checked.slots + 1, wait, spread

        (needed, wait, spread), (stay, *_) = slots(load), slots(stay_load)
        tried = 0
    else:
        # So that the queue does not grow.
        replicas, spread = _most_to_try(parameters, state, checked), 0.0
        needed, stay = (
            math.ceil(min(each / MAX_UTILISATION, replicas * checked.slots))
            for each in (work, stay_load)
        )
        tried = replicas if needed < work / MAX_UTILISATION and replicas <= parameters.max else 0
    if demand.held:
        needed = min(most, max(1, needed) + demand.held)
    return Size(
        *(demand.rate, state.reserve, service, backlog, load, wait, late, alone),
        *(needed, stay, needed >= most, meetable, demand.held, tried, peaked, spread),
    )


def lead_share(checked: CheckedSignals, horizon_seconds: float) -> float:
    """How much of what may come must be ready before it: of the burst reserve, and of the wait left free.

    They are for a jump or a slowdown, which no model knows. The sooner the gateway's counters show one and a
    replica for it is ready, the less of them is needed.
    """
    senses = checked.signals.gateway_queued is not None
    return min(1.0, horizon_seconds / SLOW_SECONDS) if senses else 1.0


def peakedness(
    parameters: SloqParameters, state: SloqState, checked: CheckedSignals, service: float
) -> float:
    """How many times longer requests wait than with Poisson arrivals: the strain, or that of bunches.

    With unlimited slots, the variance of the busy ones would be z times their mean. By the index of
    dispersion I of counts over T, z - 1 is (I - 1)/2 for batches that come at once, and about (I - 1)·s/T for
    bunches that last longer than a time s in a slot (A. E. Eckberg, "Generalized peakedness of teletraffic
    processes", 10th International Teletraffic Congress, 1983).
    """
    excess = (checked.signals.gateway_dispersion or 1.0) - 1
    bunches = 1 + PEAKED_SHARE * max(0.0, excess) * min(0.5, service / READ_SECONDS)
    return max(state.strain, min(bunches, parameters.correction_most))


def _excess_variability(spread: float) -> float:
    """How much longer requests wait than with exponential times in a slot, of which p95 is so many means.

    Waits are in proportion to 1 + c² with the coefficient of variation c, which is 1 for exponential times
    (Pollaczek and Khinchine for one slot; A. O. Allen, "Probability, Statistics, and Queueing Theory", 1978,
    for several). Taken for lognormal, p95 is exp(1.645·s - s²/2) means and c² = exp(s²) - 1.
    """
    p95 = 1.645
    sigma = p95 - math.sqrt(max(0.0, p95**2 - 2 * math.log(max(1.0, spread))))
    return max(0.0, math.expm1(sigma**2) - 1) / 2


def _most_to_try(parameters: SloqParameters, state: SloqState, checked: CheckedSignals) -> int:
    """The most replicas to keep the queue from growing, if no number of them meets the objective.

    A dependency that breaks could need any number: at most half-way from what was needed while the objective
    could be met to the maximum, but one replica more at least, or 1 of 2 would stay for ever.
    """
    before = math.ceil(state.peak / checked.slots)
    half_way = max(before + 1, (before + parameters.max) // 2)
    return min(parameters.max + 1, half_way) if state.peak else parameters.max + 1


def _observed(state: SloqState, checked: CheckedSignals, service: float) -> float:
    """The slots that what arrives needs for certain, whatever the rates say.

    What leaves without a queue that shrinks has arrived: that many requests, less three standard deviations.
    Before it is measured, busy slots are a lower bound of the work by Little's law.
    """
    queues = [queued or 0.0 for *_, queued in state.ticks[-3:]]
    queues.append(checked.signals.queued or 0.0)
    if any(after < before for before, after in pairwise(queues)):
        return 0.0
    completed, busy = checked.signals.completed_rate, checked.signals.busy or 0.0
    if completed is None:
        return busy - 3 * math.sqrt(busy)
    requests = completed * SHORT_SECONDS
    return (requests - 3 * math.sqrt(requests)) / SHORT_SECONDS * service


def _backlog_ahead(state: SloqState, checked: CheckedSignals, demand: Demand) -> float:
    """The requests that will queue when a replica started now is ready.

    A fluid: until then the current rate flows in, and the ready replicas' slots, and those of the starting
    ones from when they are ready on, each finish one request per time in a slot.
    """
    horizon = demand.horizon
    # A replica that is started now is ready a decision before the horizon.
    since = [max(0.0, demand.now - at + demand.every) for at in state.starting]
    working = state.ready - demand.held / checked.slots
    replica_seconds = working * horizon + sum(min(horizon, one) for one in since)
    signals = checked.signals
    queued = max(0.0, (signals.in_system or 0.0) - state.ready * checked.slots)
    if signals.gateway_queued is not None:
        # Prometheus' number may be from seconds ago, and between ticks no longer true.
        queued = signals.gateway_queued if signals.between else max(queued, signals.gateway_queued)
    finished = replica_seconds * checked.slots / demand.service
    backlog = max(0.0, queued + demand.rate * horizon - finished)
    if signals.gateway_queued is not None and state.service_seconds is None:
        # By an assumed time in a slot, a jump could ask for any number.
        return min(backlog, queued)
    return backlog
