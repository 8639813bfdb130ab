"""What SLOQ learns from the running service: service times, start-up times, slots and a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from tidegate.autoscaler.sloq.signal_checks import CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState

MAX_STARTUPS: Final = 20
MAX_STARTUP_SECONDS: Final = 600.0
MAX_FULL_SAMPLES: Final = 5
MIN_FULL_SAMPLES: Final = 3
MIN_OVER_TICKS: Final = 2
# Busy slots of all replicas are summed from scrapes at different times.
SLOTS_TOLERANCE: Final = 0.05
SETTLE_SECONDS: Final = 10.0
# A removed replica still finishes its requests, which count as busy slots of the others.
DRAIN_SECONDS: Final = 30.0
PROBE_SECONDS: Final = 60.0
# The busiest replica is measured over the last minute, and metrics may be seconds old: this long after its
# slots were changed, the value is valid for the new number.
WATCH_SECONDS: Final = 90.0

P95_SMOOTHING_SECONDS: Final = 120.0
BUSY_SMOOTHING_SECONDS: Final = 60.0

MARGIN_PERIOD_SECONDS: Final = 30.0
MARGIN_STEP: Final = 0.05
MAX_MARGIN: Final = 0.6
MARGIN_DECAY: Final = 0.8
# Latency is measured over the last minute, so it takes that long to reflect the current replicas.
MARGIN_SETTLE_SECONDS: Final = 60.0


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
    starting = starting[became:]
    # Some were stopped before they were ready, the newest first.
    starting = starting[: max(0, running - ready)]
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
    """The time in a slot: its mean as last measured, the percentile until the objective's byte smoothed.

    A percentile of one minute is noisy, and so would be the wait that is left for the queue.
    """
    mean = checked.service_seconds or state.service_seconds
    known, measured = state.service_seconds_p95, checked.service_seconds_p95
    if measured is None or known is None:
        return {"service_seconds": mean, "service_seconds_p95": measured or known}
    elapsed = max(0.0, now - (state.now if state.now is not None else now))
    weight = 1 - math.exp(-elapsed / P95_SMOOTHING_SECONDS)
    smoothed = known + weight * (measured - known)
    # 0.5 + (1e-50 - 0.5) is 0, and a state with a time of 0 is invalid.
    return {"service_seconds": mean, "service_seconds_p95": smoothed if smoothed > 0 else measured}


def learn_busy(state: SloqState, busy: float | None, now: float) -> dict[str, Any]:
    """Busy slots smoothed over a minute, and the fraction of their variance that is left.

    Smoothing with weight w leaves w/(2 - w) of the variance of independent samples, and s/(s + T) of that
    of a queue sampled continuously, where requests with mean s keep their slot from one sample to the next
    and T is the smoothing time.
    """
    if busy is None or state.busy is None or state.now is None:
        return {"busy": busy, "busy_share": 1.0}
    weight = 1 - math.exp((state.now - now) / BUSY_SMOOTHING_SECONDS)
    service = state.service_seconds or 0.0
    correlation = service / (service + BUSY_SMOOTHING_SECONDS)
    return {
        "busy": max(0.0, state.busy + weight * (busy - state.busy)),
        "busy_share": max(weight / (2 - weight), correlation),
    }


def learn_slots(
    state: SloqState, checked: CheckedSignals, ready: int, now: float
) -> dict[str, Any]:
    """The actual slots of a replica, if the metrics report another number.

    While requests queue, every slot is busy, so the busy slots of a replica are its slots. A replica that
    processed more requests at once than its reported slots has more, but how many is unknown: one more is
    assumed after each minute without queued requests, up to twice the reported number, until a queue
    shows the actual one.
    """
    if checked.slots != state.told_slots:
        return {
            "told_slots": checked.slots,
            "slots": None,
            "full": (),
            "over": 0,
            "raised_at": None,
            "watched_since": None if checked.busiest is None else now,
        }
    watched = state.watched_since if checked.busiest is not None else None
    if watched is None and checked.busiest is not None:
        watched = now
    return {"watched_since": watched, **_learn_slots(state, checked, ready, now, watched)}


def _learn_slots(
    state: SloqState, checked: CheckedSignals, ready: int, now: float, watched: float | None
) -> dict[str, Any]:
    assumed = state.slots or float(checked.slots)
    busiest = checked.busiest or 0.0
    # Measured on one replica at one time, so it needs neither confirmation nor a steady number of replicas.
    proven = watched is not None and now - watched >= WATCH_SECONDS
    if proven and busiest > max(assumed, checked.slots):
        return {"over": 0, "full": (), "slots": busiest, "raised_at": now}
    if checked.queued is None:
        return {}
    steady = now - state.steady_since if state.steady_since is not None else 0.0
    if steady >= SETTLE_SECONDS and ready >= 1 and checked.busy is not None:
        observed = checked.busy / ready
        if checked.queued >= ready:
            return _slots_while_full(state, checked.slots, observed)
        if steady >= DRAIN_SECONDS and observed > assumed * (1 + SLOTS_TOLERANCE):
            if state.over + 1 < MIN_OVER_TICKS:
                return {"over": state.over + 1}
            raised = float(math.ceil(observed - SLOTS_TOLERANCE))
            return {"over": 0, "full": (), "slots": raised, "raised_at": now}
    return _probe_for_slots(state, checked, assumed, now)


def _probe_for_slots(
    state: SloqState, checked: CheckedSignals, assumed: float, now: float
) -> dict[str, Any]:
    """Assume one slot more if more than reported were busy and no queue has shown the actual number."""
    if assumed <= checked.slots or state.full or state.raised_at is None:
        return {}
    if checked.queued:
        return {"raised_at": now}
    if now - state.raised_at < PROBE_SECONDS:
        return {}
    return {"slots": max(assumed, min(assumed + 1, 2.0 * checked.slots)), "raised_at": now}


def _slots_while_full(state: SloqState, reported_slots: int, observed: float) -> dict[str, Any]:
    full = (*state.full, observed)[-MAX_FULL_SAMPLES:]
    if len(full) < MIN_FULL_SAMPLES:
        return {"full": full, "over": 0}
    slots = max(1.0, float(round(median(full))))
    return {"full": full, "over": 0, "slots": None if slots == reported_slots else slots}


def learn_margin(
    state: SloqState, latency_seconds: float | None, slo_seconds: float, now: float
) -> dict[str, Any]:
    """A margin on top of the modelled work while the measured latency exceeds the objective.

    Latency only ever adds work: it is flat until nearly all slots are busy, so it cannot show that there are
    too many. It is used only after all replicas have been ready for a minute.
    """
    settled = state.steady_since is not None and now - state.steady_since >= MARGIN_SETTLE_SECONDS
    at = state.margin_at
    if at is not None and now - at < MARGIN_PERIOD_SECONDS:
        return {}
    if settled and latency_seconds is not None and latency_seconds > slo_seconds:
        return {"margin": min(MAX_MARGIN, state.margin + MARGIN_STEP), "margin_at": now}
    decayed = state.margin * MARGIN_DECAY
    return {"margin": decayed if decayed > MARGIN_STEP / 10 else 0.0, "margin_at": now}
