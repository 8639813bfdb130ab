"""Predictive scaling: replicas for a rise by the clock, around any policy.

If most earlier days had a rise at this time (`daily_rise.py`), the inner policy is asked again, as if the
rise had come and the replicas for its work were ready. The larger of its two numbers is the decision. So the
wrapper only ever adds replicas, by the policy's own measure and within its bounds, and only until the rise of
the earlier days is over. The policy learns from what was measured alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from tidegate.autoscaler.sloq.signal_checks import valid_or_none
from tidegate.autoscaler.types import Decision, Policy, Signals, format_change
from tidegate.autoscaler.wrappers.daily_rise import DailyRise, daily_rise
from tidegate.settings.scaling import MAX_REPLICAS


def predictive(policy: Policy, start_seconds: float) -> Policy:
    """The policy, prepared for rises that most earlier days had at this time.

    Its state: `inner`, that of the policy, and `service_seconds`, the time in a slot as last measured, which
    sizes a job that starts from idle.

    A new replica is ready after `start_seconds`, at most.
    """
    parameters = {"predictive": {"start_seconds": start_seconds}}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        inner, service_seconds = _known(state)
        service_seconds = valid_or_none(signals.service_seconds) or service_seconds
        measured = policy(inner, signals, now)
        rise = daily_rise(signals.daily_rates, start_seconds)
        decision = measured
        if rise.rate and measured.reason != "no-signal":
            after = _after(signals, rise.rate, service_seconds)
            prepared = after and policy(inner, after, now)
            if prepared and prepared.desired > measured.desired:
                decision = _prepared(measured, prepared.desired, signals.desired, rise)
        return replace(
            decision,
            inputs={
                **decision.inputs,
                "parameters": {**decision.inputs["parameters"], **parameters},
                "daily_rise": asdict(rise),
            },
            state={"inner": measured.state, "service_seconds": service_seconds},
        )

    return decide


def _known(state: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """The state of the policy and the time in a slot; empty if the saved state is invalid."""
    inner, seconds = state.get("inner"), state.get("service_seconds")
    known = valid_or_none(seconds) if isinstance(seconds, int | float) else None
    return (inner if isinstance(inner, dict) else {}), known or None


def _after(signals: Signals, rate: float, service_seconds: float | None) -> Signals | None:
    """The signals after a rise to this rate; None if it is there, or its work is unknown.

    By Little's law, requests are in as many slots as arrive in the time of one. The replicas whose slots that
    occupies are ready: without them the policy would expect the queue that they prevent.
    """
    before, slots = valid_or_none(signals.arrival_rate), signals.slots_per_replica
    if before is None or before >= rate or not service_seconds or not slots or slots < 1:
        return None
    busy = rate * service_seconds
    replicas = max(signals.desired, math.ceil(min(busy / slots, MAX_REPLICAS)))
    return replace(
        signals,
        arrival_rate=rate,
        arrival_rate_60s=_at_least(signals.arrival_rate_60s, rate),
        completed_rate=_at_least(signals.completed_rate, rate),
        busy=_at_least(signals.busy, busy),
        in_system=_at_least(signals.in_system, busy),
        in_system_60s=_at_least(signals.in_system_60s, busy),
        ready=max(signals.ready, replicas),
        running=max(signals.running, replicas),
        desired=replicas,
    )


def _at_least(value: float | None, least: float) -> float | None:
    """The larger one; what is not measured stays unknown."""
    known = valid_or_none(value)
    return None if known is None else max(known, least)


def _prepared(measured: Decision, desired: int, current: int, rise: DailyRise) -> Decision:
    """The measured decision with the replicas for the rise. Lent slots stay: they need no preparation."""
    return replace(
        measured,
        desired=desired,
        reason="up" if desired > current else "down" if desired < current else "stabilized",
        explanation=(
            f"{format_change(current, desired)}: {rise.rate:.3g} requests/s are expected within"
            f" {rise.seconds / 60:g} min: {rise.with_it} of {rise.days} earlier days had that rise at this"
            f" time; else {measured.desired} ({measured.explanation})"
        ),
    )
