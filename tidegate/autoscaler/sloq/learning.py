"""What SLOQ learns from the running service: service times, start-up times, slots and a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
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

SHORT_SECONDS: Final = 15.0
SLOWED_SIGMAS: Final = 3.0
# Of a single stuck request, the mean of 15 s may be anything.
MAX_SLOWED: Final = 10.0

MARGIN_PERIOD_SECONDS: Final = 30.0
MARGIN_STEP: Final = 0.05
MIN_STRAIN_STEP: Final = 1.2
MAX_STRAIN_STEP: Final = 2.0
# Of the wait that the objective leaves.
CALM_SHARE: Final = 0.5
# A burst is over by then, or replicas are starting for it.
OVER_SECONDS: Final = 30.0
LATENCY_SECONDS: Final = 60.0
# It takes as long as latency is measured over to reflect the current replicas.
MARGIN_SETTLE_SECONDS: Final = LATENCY_SECONDS


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

    A percentile of one minute is noisy, and so would be the wait that is left for the queue. The mean is that
    of a minute, unless that of the last 15 s is higher by more than three standard errors (of exponential
    times).
    """
    mean = checked.service_seconds or state.service_seconds
    slowed, recent = 1.0, checked.service_seconds_15s
    requests = checked.rate_15s * SHORT_SECONDS
    if mean is not None and recent is not None and requests > 0:
        surely = min(recent, MAX_SLOWED * mean) * (1 - SLOWED_SIGMAS / math.sqrt(requests))
        if surely > mean:
            slowed = min(recent / mean, MAX_SLOWED)
    updates: dict[str, Any] = {"service_seconds": mean, "slowed": slowed}
    known, measured = state.service_seconds_p95, checked.service_seconds_p95
    if measured is None or known is None:
        return {**updates, "service_seconds_p95": measured or known}
    elapsed = max(0.0, now - (state.now if state.now is not None else now))
    weight = 1 - math.exp(-elapsed / P95_SMOOTHING_SECONDS)
    smoothed = known + weight * (measured - known)
    # 0.5 + (1e-50 - 0.5) is 0, and a state with a time of 0 is invalid.
    return {**updates, "service_seconds_p95": smoothed if smoothed > 0 else measured}


def busy_with_arrivals(state: SloqState, checked: CheckedSignals, now: float) -> float | None:
    """The slots that are busy with the work that arrives, not with that of a queue which shrinks.

    By conservation of requests: those that leave the system are those that arrive and those by which it
    shrinks. So while a queue is worked off, `s·shrunk/seconds` slots fewer would be busy without it. A number
    in the system that falls without a queue is chance or less traffic, and subtracts nothing.

    Args:
        state: after the last tick.
        checked: the signals of this one.
        now: in seconds.
    """
    busy, after = checked.busy, checked.traffic[-1]
    before = state.traffic[-1] if state.traffic else None
    if busy is None or not state.queued or state.now is None or before is None or after is None:
        return busy
    shrunk = min(state.queued, max(0.0, before - after))
    seconds = max(now - state.now, 1.0)
    return max(0.0, busy - shrunk * (state.service_seconds or 0.0) / seconds)


def learn_busy(state: SloqState, checked: CheckedSignals, now: float) -> dict[str, Any]:
    """Slots busy with arriving work smoothed over a minute, and the fraction of their variance that is left.

    Smoothing with weight w leaves w/(2 - w) of the variance of independent samples, and s/(s + T) of that
    of a queue sampled continuously, where requests with mean s keep their slot from one sample to the next
    and T is the smoothing time.
    """
    busy = busy_with_arrivals(state, checked, now)
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
    proven = busiest if watched is not None and now - watched >= WATCH_SECONDS else 0.0
    if proven > assumed:
        slots = None if proven == checked.slots else proven
        return {"over": 0, "full": (), "slots": slots, "raised_at": now}
    if checked.queued is None:
        return {}
    steady = now - state.steady_since if state.steady_since is not None else 0.0
    if steady >= SETTLE_SECONDS and ready >= 1 and checked.busy is not None:
        observed = checked.busy / ready
        if checked.queued >= ready:
            return _slots_while_full(state, checked.slots, observed, proven)
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


def _slots_while_full(
    state: SloqState, reported_slots: int, observed: float, proven: float
) -> dict[str, Any]:
    """Requests queue, so the busy slots are all there are; but no fewer than one replica was seen to have.

    Where each replica has a queue of its own, requests wait at some while others have free slots.
    """
    full = (*state.full, observed)[-MAX_FULL_SAMPLES:]
    if len(full) < MIN_FULL_SAMPLES:
        return {"full": full, "over": 0}
    slots = max(1.0, float(round(median(full))), proven)
    return {"full": full, "over": 0, "slots": None if slots == reported_slots else slots}


def learn_margin(
    state: SloqState, checked: CheckedSignals, parameters: SloqParameters, now: float
) -> dict[str, Any]:
    """What to add to the model while the measured latency exceeds the objective: a margin and a strain.

    The margin is work, for slots that do less than they should; the strain shortens the wait that the model
    may plan for, where requests wait longer than it says. Latency only ever adds: it is flat until nearly
    all slots are busy, so it cannot show that there are too many. Both grow each 30 s once all replicas have
    been ready for a minute, unless requests hardly wait: then more replicas would not help. They fade while
    the wait is well within what the objective leaves for it, not while replicas start.
    """
    slo, latency = parameters.slo_seconds, checked.latency_seconds
    over = latency is not None and latency > slo
    since = (now if state.over_since is None else state.over_since) if over else None
    updates: dict[str, Any] = {"over_since": since}
    at = state.margin_at
    if at is not None and now - at < MARGIN_PERIOD_SECONDS:
        return updates
    in_slot = checked.service_seconds_p95 or state.service_seconds_p95 or 0.0
    # Decisions recorded before there was a strain did not ask how long requests wait.
    waiting = (latency or 0.0) - in_slot if parameters.strain_most > 1 else math.inf
    allowed = max(parameters.patience_share * slo, slo - in_slot)
    if since is not None:
        steady = state.steady_since
        settled = steady is not None and now - steady >= MARGIN_SETTLE_SECONDS
        hopeless = (checked.service_seconds_p95 or 0.0) >= slo or waiting <= allowed / 2
        few = checked.rate_60s * LATENCY_SECONDS < parameters.margin_requests
        if not settled or now - since < OVER_SECONDS or hopeless or few:
            return updates
        step = min(MAX_STRAIN_STEP, max(MIN_STRAIN_STEP, math.sqrt(waiting / allowed)))
        strain = min(parameters.strain_most, state.strain * step)
        margin = min(parameters.margin_most, state.margin + MARGIN_STEP)
        return {**updates, "margin": margin, "strain": strain, "margin_at": now}
    if parameters.strain_most > 1 and waiting > CALM_SHARE * allowed:
        return updates
    faded = state.margin * parameters.margin_fade
    margin = faded if faded > MARGIN_STEP / 10 else 0.0
    strain = max(1.0, state.strain * parameters.margin_fade)
    return {**updates, "margin": margin, "strain": strain, "margin_at": now}
