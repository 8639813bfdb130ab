"""Samples of the requests in the system, kept in a policy's state for averages over windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tidegate.autoscaler.sloq.signal_checks import MAX_VALUE
from tidegate.autoscaler.types import Bounds, Decision, Signals, format_change

Sample = list[float]
"""A time in seconds, and a value."""


def samples_of(state: dict[str, Any]) -> list[Sample]:
    """The samples in a state."""
    return [[float(at), float(value)] for at, value in state.get("samples", [])]


def add_sample(samples: Sequence[Sample], new: tuple[float, float], since: float) -> list[Sample]:
    """The samples after `since` and a new one, which is limited so that sums stay finite."""
    at, value = new
    return [*(sample for sample in samples if sample[0] > since), [at, min(value, MAX_VALUE)]]


def mean(samples: Sequence[Sample]) -> float:
    """The mean; 0 without samples."""
    return sum(value for _, value in samples) / len(samples) if samples else 0.0


def missing_signal(signals: Signals) -> str:
    """Why the metric that the policy needs is missing; empty if it is there."""
    value, slots = signals.in_system, signals.slots_per_replica
    if value is None or not math.isfinite(value) or value < 0:
        return signals.problem or "the requests in the system are not known"
    if slots is None or slots < 1:
        return signals.problem or "the slots of a replica are not known"
    return ""


def held(
    bounds: Bounds, current: int, why: str, parameters: dict[str, Any], state: dict[str, Any]
) -> Decision:
    """The decision without signals: the number stays, within the bounds."""
    desired = bounds.clamp(current)
    explanation = f"{format_change(current, desired)}: {why}"
    return Decision(desired, "no-signal", explanation, {"parameters": parameters}, state)
