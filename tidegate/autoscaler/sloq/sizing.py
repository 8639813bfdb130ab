"""How many slots the work takes, so that few enough requests wait too long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.demand import Demand
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.queueing import slots_needed
from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState

# With a larger share of slots busy in the mean, any small error of the load makes an endless queue.
MAX_UTILISATION: Final = 0.97
# Beyond this the recurrence of Erlang's formula is not worth its time.
MAX_SLOTS: Final = 100_000
# Work that is on its way through the system anyway, in seconds of arrivals' work, is no backlog.
IN_TRANSIT_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Size:
    """A size in slots, and what led to it.

    Attributes:
        rate: requests a second that it is for.
        service: mean time in a slot, in seconds.
        backlog: work, in slots, of requests that wait and should not.
        load: work, in slots: of the rate, the margin and the backlog.
        patience: the wait that only `late` of the requests may exceed, in seconds.
        late: that share.
        slots: as many as that takes.
        stay_slots: as many as what arrives takes, and a margin: below this many no replica leaves.
        meetable: whether slots can help to keep the objective.
        notes: what else a person should know.
    """

    rate: float
    service: float
    backlog: float
    load: float
    patience: float
    late: float
    slots: int
    stay_slots: int
    meetable: bool
    notes: tuple[str, ...]


def size_for(
    parameters: SloqParameters,
    state: SloqState,
    checked: CheckedSignals,
    demand: Demand,
    horizon_seconds: float,
) -> Size:
    """The size for a demand. It never falls as arrival rates rise.

    Args:
        parameters: of the policy.
        state: with what was learned at this tick.
        checked: what was measured.
        demand: what arrives, and what will.
        horizon_seconds: how far ahead that is.
    """
    notes: list[str] = []
    service = state.service_seconds or parameters.service_seconds
    p95 = state.service_seconds_p95 or service

    # The reserve is learned from surprises, and a rise that was seen coming is none.
    rate = max(demand.ahead, demand.now + state.reserve)
    if demand.ahead > demand.now:
        notes.append(
            f"{demand.now:.3g} requests/s are rising, looked {horizon_seconds:.0f} s ahead"
        )
    elif state.reserve > 0.01 * demand.now:
        notes.append(f"{state.reserve:.3g} requests/s of them are a reserve for bursts")

    backlog = _backlog_load(parameters, checked, demand.now * service, service)
    if backlog >= 0.1:
        notes.append(f"the backlog adds {backlog:.1f} for {parameters.backlog_seconds:g} s")
    if state.margin > 0:
        notes.append(f"{state.margin:.0%} is added, as latency was over the objective")
    load = rate * service * (1 + state.margin) + backlog
    # What is expected, and a backlog, pass; what arrives is what replicas must stay for.
    stay_load_expected = (demand.now + state.reserve) * service * (1 + state.margin)
    # By Little's law so many busy slots mean at least so much work, whatever the rates say; three
    # standard deviations are left to chance, of which a minute has fewer than a moment.
    busy, minute = checked.busy or 0.0, state.busy or 0.0
    observed_load = max(
        busy - 3 * math.sqrt(busy), minute - 3 * math.sqrt(minute * state.busy_share)
    )
    stay_load = max(stay_load_expected * (1 + parameters.stay_margin), observed_load)

    slo = parameters.slo_seconds
    patience = max(parameters.patience_share * slo, slo - p95)
    late = parameters.late_share * (1 - parameters.slo_quantile)
    # One replica more than there may be is enough to know that they do not suffice.
    per_replica = state.slots or checked.slots
    max_slots = min(MAX_SLOTS, math.ceil((parameters.max + 1) * per_replica))
    meetable = max(checked.service_seconds_p95 or 0.0, service) < slo
    if meetable:
        slots = _slots_for(load, patience / service, late, max_slots)
        stay = _slots_for(stay_load, patience / service, late, max_slots)
    else:
        notes.append(
            "the objective cannot be met by adding replicas: a slot alone takes"
            f" {checked.service_seconds_p95 or service:.2g} s of {slo:g} s"
        )
        # Enough that the queue does not grow, but not for whatever a broken dependency would take.
        cap = _max_slots_if_unmeetable(parameters, state.usual, per_replica)
        slots = math.ceil(min(load / MAX_UTILISATION, cap, max_slots))
        stay = math.ceil(min(stay_load / MAX_UTILISATION, cap, max_slots))
    return Size(
        rate=rate,
        service=service,
        backlog=backlog,
        load=load,
        patience=patience,
        late=late,
        slots=slots,
        stay_slots=stay,
        meetable=meetable,
        notes=tuple(notes),
    )


def _max_slots_if_unmeetable(
    parameters: SloqParameters, usual: float | None, per_replica: float
) -> float:
    """The most slots while replicas cannot help: `broken_most` times the usual, and short of the maximum.

    No more than half of the replicas between the usual number (the minimum, if the objective was never met)
    and the maximum are added, rounded down: so the maximum is not reached, unless it is what is usual.
    """
    before = parameters.min if usual is None else math.ceil(usual / per_replica)
    half_way = max(before, (before + parameters.max) // 2) * per_replica
    return half_way if usual is None else min(parameters.broken_most * usual, half_way)


def _slots_for(load: float, patience: float, late: float, max_slots: int) -> int:
    return slots_needed(load, patience, late, utilisation=MAX_UTILISATION, max_slots=max_slots)


def _backlog_load(
    parameters: SloqParameters, checked: CheckedSignals, load: float, service: float
) -> float:
    """The work of requests that are in the system beyond what belongs there, in slots.

    It is to be done in `backlog_seconds`; with long requests in more, so that a higher arrival rate,
    which makes more of them belong there, never takes away more than it adds.
    """
    excess = checked.in_system - IN_TRANSIT_SECONDS * load - 2 * math.sqrt(checked.in_system)
    return (
        max(0.0, excess) * service / max(parameters.backlog_seconds, IN_TRANSIT_SECONDS * service)
    )
