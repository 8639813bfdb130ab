"""How many slots the work needs so that few enough requests wait too long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

from tidegate.autoscaler.sloq.correct import allowed_wait, time_alone
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.queueing import slots_needed
from tidegate.autoscaler.sloq.signal_checks import SHORT_SECONDS, CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState

# Above this mean utilisation, a small error in the load makes the queue grow without bound.
MAX_UTILISATION: Final = 0.97
# Above this, the recurrence of Erlang's formula takes too long.
MAX_SLOTS: Final = 100_000
LEAST_LATE: Final = 1e-9
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
        alone_seconds: the time of a request without any wait, in seconds: the 95th percentile, or the mean.
        slots: the slots needed for the load.
        stay_slots: the slots needed for the measured load plus a margin: no replica below this is removed.
        capped: whether more slots than the maximum are needed; how many is not calculated.
        meetable: whether more slots can help to meet the objective.
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


@dataclass(frozen=True, slots=True)
class Ahead:
    """What to size for.

    Attributes:
        now: the time in seconds.
        rate: the current arrival rate, in requests a second.
        service_seconds: how long a request occupies a slot.
        horizon_seconds: until a replica started now is ready.
    """

    now: float
    rate: float
    service_seconds: float
    horizon_seconds: float


def size_for(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    ahead: Ahead,
) -> Size:
    """The size for a rate. It never decreases when arrival rates increase.

    Args:
        parameters: of the policy.
        state: of the policy, updated at this tick.
        checked: the signals.
        ahead: what to size for.
    """
    mean = state.service_seconds or parameters.service_seconds
    rate, service = ahead.rate, ahead.service_seconds
    first_byte = parameters.until == "first_byte"
    p95 = time_alone(state, checked)
    # Before the time to the first byte is measured, only the mean to the last byte is known.
    alone = p95 or (0.0 if first_byte else mean)
    meetable = max(alone, 0.0 if first_byte else mean) < parameters.slo_seconds
    backlog = _backlog_ahead(parameters, state, checked, ahead)
    work = (rate + state.reserve) * service
    load = work + backlog * service * parameters.backlog_ahead / BACKLOG_SECONDS
    stay_load = max(work * (1 + parameters.stay_margin), _observed(state, checked, service))
    late = max(LEAST_LATE, parameters.late_share * (1 - parameters.slo_quantile))
    # One replica more than the maximum is enough to show that the maximum is too low.
    max_slots = min(MAX_SLOTS, (parameters.max + 1) * checked.slots)
    allowed = allowed_wait(parameters, p95 or (parameters.slo_seconds if first_byte else mean))
    if meetable:
        needed = partial(
            _slots_and_wait,
            allowed=allowed,
            planned=min(allowed, parameters.wait_share * max(allowed, service)),
            service=service,
            per_replica=checked.slots,
            late=late,
            strain=state.strain,
            max_slots=max_slots,
        )
        (slots, wait), (stay, _) = needed(load), needed(stay_load)
    else:
        # Enough that the queue does not grow, but a dependency that breaks could need any number: at most
        # half-way from what was needed while the objective could be met to the maximum.
        cap = max_slots
        if state.peak:
            before = math.ceil(state.peak / checked.slots)
            cap = max(before, (before + parameters.max) // 2) * checked.slots
        slots, stay = (
            math.ceil(min(one / MAX_UTILISATION, cap, max_slots)) for one in (work, stay_load)
        )
        wait = allowed
    return Size(
        *(rate, state.reserve, service, backlog, load, wait, late, alone),
        *(slots, stay, slots >= max_slots, meetable),
    )


def _slots_and_wait(
    load: float,
    *,
    allowed: float,
    planned: float,
    service: float,
    per_replica: int,
    late: float,
    strain: float,
    max_slots: int,
) -> tuple[int, float]:
    """The slots for a load, and the wait that at most the fraction `late` of requests exceeds with them.

    Of the wait that the objective allows, only a part is planned for. The rest is for what no model knows, a
    jump or a slowdown: a size that uses it up for the chance of known traffic is so close to the load that it
    absorbs neither. But one replica that keeps the objective is enough: a second one is twice the cost.
    """
    needed = partial(
        slots_needed,
        load,
        late=late,
        utilisation=MAX_UTILISATION,
        peakedness=strain,
        max_slots=max_slots,
    )
    slots = needed(allowed / service)
    if slots <= per_replica:
        return slots, allowed
    return needed(planned / service), planned


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


def _backlog_ahead(
    parameters: SloqParameters, state: SloqState, checked: CheckedSignals, ahead: Ahead
) -> float:
    """The requests that will queue when a replica started now is ready.

    A fluid: until then the current rate flows in, and the ready replicas' slots, and those of the starting
    ones from when they are ready on, each finish one request per time in a slot.
    """
    horizon, per_replica = ahead.horizon_seconds, checked.slots
    startup = horizon - parameters.tick_seconds
    late = [max(0.0, at + startup - ahead.now) for at in state.starting]
    replica_seconds = state.ready * horizon + sum(max(0.0, horizon - one) for one in late)
    queued = max(0.0, (checked.signals.in_system or 0.0) - state.ready * per_replica)
    finished = replica_seconds * per_replica / ahead.service_seconds
    return max(0.0, queued + ahead.rate * horizon - finished)
