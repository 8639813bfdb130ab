"""KEDA, with a Prometheus trigger on requests in the system.

KEDA itself only scales between zero and one: as in kedacore/keda, pkg/scaling/executor, it polls every 30 s,
scales from 0 to 1 when the trigger is active, and to a minReplicaCount of 0 when it has not been active for
cooldownPeriod (300 s). From 1 to N, an HPA scales on the metric as an external metric with an
AverageValue target: replica_calculator.go's GetExternalPerPodMetric, with the HPA's tolerance, stabilization
and scale-up limit. When the trigger fails more than failureThreshold times in a row, pkg/fallback reports
target·replicas instead, so that the HPA scales to the fallback's number.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.policies.hpa import scale_up_limit
from tidegate.autoscaler.policies.samples import missing_signal
from tidegate.autoscaler.sloq.signal_checks import MAX_VALUE
from tidegate.autoscaler.types import (
    Bounds,
    Decision,
    Policy,
    Signals,
    digits,
    direction,
    format_change,
)

TICK_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class KedaParameters:
    """A ScaledObject's settings, and those of its HPA.

    Attributes:
        min: minReplicaCount.
        max: maxReplicaCount.
        inflight: threshold of the trigger, in requests in the system per slot.
        activation: activationThreshold: the trigger is active above it.
        polling_seconds: pollingInterval.
        cooldown_seconds: cooldownPeriod.
        failure_threshold: fallback.failureThreshold.
        fallback: fallback.replicas; None if there is no fallback.
        tolerance: of the HPA.
        down_stabilization_seconds: of the HPA.
    """

    min: int
    max: int
    inflight: float = 0.7
    activation: float = 0.0
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    failure_threshold: int = 3
    fallback: int | None = None
    tolerance: float = 0.1
    down_stabilization_seconds: float = 300.0


def keda(parameters: KedaParameters) -> Policy:
    """The policy with these parameters.

    Its state: `polled_at` and `active_at` (the last poll, and the last one that found the trigger
    active), consecutive `failures`, `recommendations` and `changes` (times and numbers) of the HPA, and the
    last decision (`asked`).
    """
    recorded_parameters = asdict(parameters)
    bounds = Bounds(parameters.min, parameters.max)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        current = signals.desired
        why = missing_signal(signals)
        after = {
            "asked": state.get("asked"),
            "polled_at": state.get("polled_at"),
            "active_at": state.get("active_at", now),
            "failures": state.get("failures", 0) + 1 if why else 0,
            "recommendations": state.get("recommendations", [[now, current]]),
            "changes": state.get("changes", []),
        }
        total = _total(parameters, signals, after["failures"], why)
        if total is not None and _is_poll(parameters, after, now):
            after["polled_at"] = now
            if total > parameters.activation:
                after["active_at"] = now
        desired = bounds.clamp(current)
        if desired != current:
            # Outside the bounds, KEDA goes to them whatever its triggers say.
            reason, text = (
                direction(current, desired),
                f"outside the bounds {bounds.min} to {bounds.max}",
            )
        elif total is None:
            desired, reason, text = current, "no-signal", why
        elif current == 0:
            active = after["active_at"] == now
            desired, reason = int(active), "up" if active else "hold"
            text = f"the trigger is {'' if active else 'not '}active"
        elif bounds.min == 0 and now - after["active_at"] > parameters.cooldown_seconds:
            desired, reason = 0, "down"
            text = f"the trigger has not been active for {parameters.cooldown_seconds:g} s"
        else:
            desired, reason, text = _hpa(parameters, after, signals, total, now)
        return Decision(
            desired=desired,
            reason=reason,
            explanation=f"{format_change(current, desired)}: {text}",
            inputs={
                "total": total,
                "failures": after["failures"],
                "parameters": recorded_parameters,
            },
            state={**after, "asked": desired},
        )

    return decide


def _total(parameters: KedaParameters, signals: Signals, failures: int, why: str) -> float | None:
    """The value of the external metric or of the fallback; None if there is neither."""
    if not why and signals.in_system is not None:
        return min(signals.in_system, MAX_VALUE)
    slots = signals.slots_per_replica or 1
    if parameters.fallback is None or failures <= parameters.failure_threshold:
        return None
    return parameters.inflight * slots * parameters.fallback


def _is_poll(parameters: KedaParameters, after: dict[str, Any], now: float) -> bool:
    polled_at = after["polled_at"]
    return polled_at is None or now - polled_at >= parameters.polling_seconds


def _hpa(
    parameters: KedaParameters, after: dict[str, Any], signals: Signals, total: float, now: float
) -> tuple[int, str, str]:
    current = signals.desired
    target = parameters.inflight * (signals.slots_per_replica or 1)
    ratio = total / (target * current)
    requests = "the fallback's" if after["failures"] else f"{total:g}"
    text = f"{requests} requests in the system, target {digits(target)} per replica"
    wanted = current if abs(ratio - 1) <= parameters.tolerance else math.ceil(total / target)

    since = now - parameters.down_stabilization_seconds
    earlier = [[at, number] for at, number in after["recommendations"] if at > since]
    after["recommendations"] = [*earlier, [now, wanted]]
    stable = max([wanted, *(number for _, number in earlier)]) if wanted < current else wanted
    stable = min(stable, current) if wanted < current else stable

    changes, limit = scale_up_limit(after["changes"], after["asked"], current, now)
    desired = Bounds(max(parameters.min, 1), parameters.max).clamp(min(stable, limit))
    after["changes"] = [*changes, [now, desired - current]] if desired > current else changes
    if desired == current and wanted < current:
        return desired, "stabilized", text
    return desired, direction(current, desired), text
