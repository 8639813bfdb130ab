"""Predictive scaling: SLOQ, with the traffic at this time of earlier days as a lower limit.

The forecast for the next minutes is the rate in the same minutes of earlier days: a seasonal naive forecast,
as the median over a week. It only ever adds replicas to SLOQ's number; a missing or impossible forecast adds
none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.sloq.signal_checks import MAX_VALUE
from tidegate.autoscaler.sloq.sizing import MAX_SLOTS, slots_and_wait
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

# The forecast horizon: the start-up time of replicas, and a margin.
AHEAD_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class PredictiveParameters(SloqParameters):
    """The parameters of SLOQ, and one more.

    Attributes:
        expected_share: the fraction of the forecast to prepare for.
    """

    expected_share: float = 1.0


def predictive(parameters: PredictiveParameters) -> Policy:
    """The policy with these parameters. Its state is SLOQ's."""
    inner = sloq(parameters)
    bounds = Bounds(parameters.min, parameters.max)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = inner(state, signals, now)
        expected = _expected(signals, parameters.expected_share)
        needed = None if expected is None else _replicas(decision.inputs, expected, bounds.max)
        inputs = {
            **decision.inputs,
            "expected_rate": expected,
            "expected_replicas": needed,
        }
        if expected is None or needed is None or bounds.clamp(needed) <= decision.desired:
            return replace(decision, inputs=inputs)
        current, desired = signals.desired, bounds.clamp(needed)
        moved = "up" if desired > current else "down" if desired < current else "stabilized"
        return replace(
            decision,
            desired=desired,
            reason=moved,
            explanation=(
                f"{format_change(current, desired)}: {expected:.3g} requests/s are expected within"
                f" {AHEAD_SECONDS / 60:g} min, as on earlier days;"
                f" else {decision.desired} ({decision.explanation})"
            ),
            inputs=inputs,
        )

    return decide


def _expected(signals: Signals, share: float) -> float | None:
    """The rate to prepare for, in requests a second; None if there is no valid forecast."""
    rate = signals.expected_rate
    if rate is None or not math.isfinite(rate) or rate < 0:
        return None
    return share * min(rate, MAX_VALUE)


def _replicas(inputs: Mapping[str, Any], rate: float, max_replicas: int) -> int | None:
    """The replicas SLOQ would need for that rate; None without signals, or if replicas cannot help."""
    if not inputs.get("meetable"):
        return None
    service, per_replica = inputs["service_seconds"], inputs["slots_per_replica"]
    slots, _ = slots_and_wait(
        rate * service * (1 + inputs["margin"]),
        allowed=inputs["allowed_seconds"],
        service=service,
        patience_most=inputs["parameters"]["patience_most"] / inputs["slowdown"],
        per_replica=per_replica,
        late=inputs["late"],
        peakedness=inputs["peakedness"],
        max_slots=min(MAX_SLOTS, math.ceil((max_replicas + 1) * per_replica)),
    )
    return math.ceil(slots / float(per_replica))
