"""What is measured against what the model says: start-up times, times in a slot, capacity and waits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import (
    MAX_STARTUP_SECONDS,
    SHORT_SECONDS,
    CheckedSignals,
)
from tidegate.autoscaler.sloq.state import SloqState

MAX_STARTUPS: Final = 20
# A time is known from this many requests; fewer change it a little.
ENOUGH_REQUESTS: Final = 20.0
FEW_SECONDS: Final = 120.0
# A removed replica still finishes its requests, and a new one begins with none.
STEADY_SECONDS: Final = 20.0
# What latency is measured over.
SETTLE_SECONDS: Final = 60.0
# The strain grows by a step in the first, and fades by half in the second of these times.
STRAIN_SECONDS: Final = 10.0
STRAIN_HALF_SECONDS: Final = 400.0
MIN_STRAIN_STEP: Final = 1.2
MAX_STRAIN_STEP: Final = 3.0
# Of the objective.
LEAST_WAIT_SHARE: Final = 0.15
# Of the wait that the objective leaves.
CALM_SHARE: Final = 0.5
# A machine that was busy with other work is not so for ever.
OCCUPANCY_FADE_SECONDS: Final = 12 * 3600.0
# A slot time of microseconds may be a small part of what a request costs.
MAX_OCCUPANCY: Final = 1e6
# Half as many replicas again that complete less than this much more share what is used up.
MORE_REPLICAS: Final = 1.5
MORE_COMPLETED: Final = 1.15
FULL_SECONDS: Final = 600.0
HELD_REQUESTS: Final = 5.0


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this fraction of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def learn_replicas(state: SloqState, ready: int, running: int, now: float) -> dict[str, Any]:
    """Start-up times of replicas, from the numbers of running and ready ones."""
    first = state.now is None
    began = 0 if first else max(0, running - state.running)
    became = 0 if first else max(0, ready - state.ready)
    starting = (*state.starting, *[now] * began)
    took = [now - at for at in starting[:became]]
    # Some were stopped before they were ready, the newest first.
    starting = starting[became:][: max(0, running - ready)]
    startups = (*state.startups, *(s for s in took if 0 <= s <= MAX_STARTUP_SECONDS))
    same = ready == running == state.ready == state.running
    steady_since = (now if state.steady_since is None else state.steady_since) if same else None
    return {
        "ready": max(0, ready),
        "running": max(0, running),
        "starting": starting,
        "startups": startups[-MAX_STARTUPS:],
        "steady_since": steady_since,
    }


def learn_service(state: SloqState, checked: CheckedSignals, now: float) -> dict[str, Any]:
    """The mean time in a slot, and the 95th percentile until the objective's byte.

    They are the last minute's; of few requests they say little, and move by as much less.
    """
    share = _requests(checked) / ENOUGH_REQUESTS
    weight = 1.0 if share >= 1 else 1 - math.exp(-state.elapsed(now) * share / FEW_SECONDS)
    names = ("service_seconds", "service_seconds_p95")
    return {
        name: _smoothed(getattr(state, name), getattr(checked.signals, name), weight)
        for name in names
    }


def _smoothed(known: float | None, measured: float | None, weight: float) -> float | None:
    if measured is None or known is None or weight >= 1:
        return measured or known
    # 0.5 + (1e-50 - 0.5) is 0, and a state with a time of 0 is invalid.
    return known + weight * (measured - known) or measured


def _requests(checked: CheckedSignals) -> float:
    """About how many requests were completed in the last minute; enough where that is not measured."""
    completed = checked.signals.completed_rate
    return math.inf if completed is None else completed * SETTLE_SECONDS


def _queue_stands(state: SloqState, checked: CheckedSignals, now: float) -> bool:
    """Whether every replica has been full for 15 s: at least one request queues for each, all are ready."""
    recent = [one for one in state.ticks if one[0] >= now - SHORT_SECONDS]
    steady = state.steady_since is not None and now - state.steady_since >= STEADY_SECONDS
    queues = [checked.signals.queued, *(queued for *_, queued in recent)]
    least = max(1, state.ready)
    return steady and len(recent) >= 2 and all(one is not None and one >= least for one in queues)


def learn_capacity(
    state: SloqState, checked: CheckedSignals, parameters: SloqParameters, now: float
) -> dict[str, Any]:
    """How long a request occupies a slot, as a multiple of the time that is measured in it.

    While a queue stands, the rate at which requests leave is the capacity, whatever is modelled: with c slots
    each is occupied for c / rate, by Little's law. It is longer than the time in a slot if time is spent
    outside of it (a busy machine, parsing, an event loop) or if a replica has fewer slots than it reports:
    then slots are idle. One replica with more requests in it than slots shows that it has more, queue or not.
    Without a queue, a longer occupancy is forgotten within a day, as nothing shows that it has ended.

    The rest of c / rate is slowness: requests that hang keep all slots busy, and the mean of few requests is
    learned in minutes. It is forgotten within minutes, and no sign that the objective cannot be met.
    """
    if parameters.correction_most <= 1:
        return {}
    busiest = checked.signals.busiest or 0.0
    known = min(state.occupancy, checked.slots / busiest if busiest > checked.slots else math.inf)
    # Of the same window as the rate: the mean of a minute shows a change of it later.
    service = checked.signals.service_seconds_15s or state.service_seconds
    completed = checked.signals.completed_rate
    if _queue_stands(state, checked, now) and completed and service:
        slots = state.ready * checked.slots
        kept, busy = slots / completed, checked.signals.busy
        measured = min(kept / service, slots / busy if busy else math.inf)
        measured = max(min(known, 1.0), min(measured, MAX_OCCUPANCY))
        requests = completed * SHORT_SECONDS
        weight = requests / (requests + ENOUGH_REQUESTS)
        occupancy = known * (measured / known) ** weight
        slower = kept / (state.service_seconds or service) / occupancy
        slower = max(1.0, min(slower, parameters.correction_most))
        return {
            "occupancy": occupancy,
            "slowness": state.slowness * (slower / state.slowness) ** weight,
            "full": _full(state, completed, now),
        }
    fade = math.exp(-state.elapsed(now) / OCCUPANCY_FADE_SECONDS) if known > 1 else 1.0
    slowness = state.slowness ** math.exp(-state.elapsed(now) / FEW_SECONDS)
    return {"occupancy": known**fade, "slowness": slowness}


def _full(state: SloqState, completed: float, now: float) -> tuple[float, float, float]:
    """What the fewest replicas completed lately while a queue stood, or more of them that completed more."""
    before, this = state.full, (now, float(state.ready), completed)
    if before is None or now - before[0] > FULL_SECONDS or state.ready <= before[1]:
        return this
    more = state.ready >= MORE_REPLICAS * before[1] and completed >= MORE_COMPLETED * before[2]
    return this if more else before


def machine_is_full(state: SloqState, checked: CheckedSignals, now: float) -> bool:
    """Whether requests queue and more replicas complete no more of them than fewer did minutes ago.

    What they share is used up: the machine, a lock, a database.
    """
    full = state.full
    return bool(
        full and state.ready >= MORE_REPLICAS * full[1] and _queue_stands(state, checked, now)
    )


def held_slots(
    state: SloqState, checked: CheckedSignals, parameters: SloqParameters, now: float
) -> int:
    """The slots whose requests hang: those of all ready replicas, if nothing has left a queue for long.

    The rate says nothing then: whoever sends may wait for an answer. Long is 15 s, or what five requests in a
    row take in those slots: e^-5, or 1 in 150, if their times are exponential.
    """
    since, slots = checked.learned["stuck_since"], state.ready * checked.slots
    if state.stuck_since is None or since is None or slots < 1:
        return 0
    service = state.service_seconds or parameters.service_seconds
    return slots if now - since >= max(SHORT_SECONDS, HELD_REQUESTS * service / slots) else 0


def learn_strain(
    state: SloqState, checked: CheckedSignals, parameters: SloqParameters, now: float
) -> dict[str, Any]:
    """How many times longer requests wait than the model says, while measured latency exceeds the objective.

    Latency only ever adds: it is flat until nearly all slots are busy, so it cannot show that there are too
    many. The strain grows once all replicas have been ready for a minute, unless requests hardly wait: then
    more replicas would not help. It fades while the wait is well within what the objective leaves for it.
    """
    latency = checked.signals.latency_seconds
    if latency is None or parameters.correction_most <= 1:
        return {}
    elapsed = state.elapsed(now)
    in_slot = state.service_seconds_p95 or 0.0
    waiting, allowed = latency - in_slot, allowed_wait(parameters, in_slot)
    if latency <= parameters.slo_seconds:
        calm = waiting <= CALM_SHARE * allowed
        faded = state.strain * 0.5 ** (elapsed / STRAIN_HALF_SECONDS)
        return {"strain": max(1.0, faded)} if calm else {}
    settled = state.steady_since is not None and now - state.steady_since >= SETTLE_SECONDS
    few = _requests(checked) < ENOUGH_REQUESTS
    if not settled or few or in_slot >= parameters.slo_seconds or waiting <= CALM_SHARE * allowed:
        return {}
    # With all else equal, the wait grows in proportion to the strain.
    step = min(MAX_STRAIN_STEP, max(MIN_STRAIN_STEP, waiting / allowed))
    strain = state.strain * step ** (elapsed / STRAIN_SECONDS)
    return {"strain": min(parameters.correction_most, strain)}


def allowed_wait(parameters: SloqParameters, in_slot: float) -> float:
    """The wait that the objective leaves beside the time in a slot, in seconds; at least 15 % of it."""
    slo = parameters.slo_seconds
    return max(LEAST_WAIT_SHARE * slo, slo - in_slot)
