"""KEDA, with a Prometheus trigger on requests in system.

KEDA itself only switches between none and some: as in kedacore/keda, pkg/scaling/executor, it polls
each 30 s, goes from 0 to max(minReplicaCount, 1) once the trigger is active, and to idle when it has
not been active for cooldownPeriod (300 s). From 1 to N it hands the metric to an HPA as an external
metric with an AverageValue target: replica_calculator.go's GetExternalPerPodMetric, with the HPA's
tolerance, stabilization and limit of a rise. When the trigger fails more than failureThreshold times
in a row, pkg/fallback reports target·replicas instead, so that the HPA goes to the fallback's number.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from tidegate.autoscaler.policies.samples import missing_signal
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals, format_change

TICK_SECONDS: Final = 15.0
# The HPA's default scaleUp behaviour: 100 % or 4 pods each 15 s, whichever is more.
UP_PERIOD_SECONDS: Final = 15.0
UP_FACTOR: Final = 2
UP_STEP: Final = 4


@dataclass(frozen=True, slots=True)
class KedaParameters:
    """A ScaledObject's settings, and those of its HPA.

    Attributes:
        min: minReplicaCount.
        max: maxReplicaCount.
        inflight: threshold of the trigger, in requests in system per slot of a replica.
        activation: activationThreshold: the trigger is active above it.
        idle: idleReplicaCount; None if there is none.
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
    idle: int | None = None
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    failure_threshold: int = 3
    fallback: int | None = None
    tolerance: float = 0.1
    down_stabilization_seconds: float = 300.0


def keda(parameters: KedaParameters) -> Policy:
    """The policy with these parameters.

    Its state: `polled_at` and `active_at` (the last poll, and the last one that found the trigger
    active), `failures` in a row, `recommendations` and `changes` (times and numbers) of the HPA, and the
    number `asked` for last.
    """
    recorded_parameters = asdict(parameters)

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        held = signals.desired
        why = missing_signal(signals)
        after = {
            "asked": state.get("asked"),
            "polled_at": state.get("polled_at"),
            "active_at": state.get("active_at", now),
            "failures": state.get("failures", 0) + 1 if why else 0,
            "recommendations": state.get("recommendations", [[now, held]]),
            "changes": state.get("changes", []),
        }
        total = _total(parameters, signals, after["failures"], why)
        if total is not None and _is_poll(parameters, after, now):
            after["polled_at"] = now
            if total > parameters.activation:
                after["active_at"] = now
        idle = parameters.idle if parameters.idle is not None else parameters.min
        least, most = parameters.min, parameters.max
        if held != idle and not least <= held <= most:
            # Below the minimum without being idle, KEDA goes to it whatever its triggers say.
            desired = Bounds(least, most).clamp(held)
            reason, words = "up" if desired > held else "down", f"from {least} to {most}"
        elif total is None:
            desired, reason, words = held, "no-signal", why
        elif held == 0:
            active = after["active_at"] == now
            desired = max(parameters.min, 1) if active else 0
            reason, words = ("up", "active") if active else ("hold", "not active")
        elif (
            idle < max(parameters.min, 1) and now - after["active_at"] > parameters.cooldown_seconds
        ):
            desired, reason = idle, "down"
            words = f"not active for {parameters.cooldown_seconds:g} s"
        else:
            desired, reason, words = _hpa(parameters, after, signals, total, now)
        return Decision(
            desired=desired,
            reason=reason,
            explanation=f"{format_change(held, desired)}: {words}",
            inputs={
                "total": total,
                "failures": after["failures"],
                "parameters": recorded_parameters,
            },
            state={**after, "asked": desired},
        )

    return decide


def _total(parameters: KedaParameters, signals: Signals, failures: int, why: str) -> float | None:
    """The external metric's value, or the fallback's; None if there is neither."""
    if not why:
        return signals.in_system
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
    held = signals.desired
    target = parameters.inflight * (signals.slots_per_replica or 1)
    ratio = total / (target * held)
    words = f"{total:g} requests in system, target {target:.2g} a replica"
    wanted = held if abs(ratio - 1) <= parameters.tolerance else math.ceil(total / target)

    since = now - parameters.down_stabilization_seconds
    earlier = [[at, number] for at, number in after["recommendations"] if at > since]
    after["recommendations"] = [*earlier, [now, wanted]]
    stable = max([wanted, *(number for _, number in earlier)]) if wanted < held else wanted
    stable = min(stable, held) if wanted < held else stable

    # A number that was asked for and did not come about (paused, bounded) is no change.
    made = after["changes"] if after["asked"] in {None, held} else []
    changes = [[at, by] for at, by in made if at > now - UP_PERIOD_SECONDS]
    before = held - sum(by for _, by in changes)
    limit = max(held, UP_FACTOR * before, before + UP_STEP)
    desired = Bounds(max(parameters.min, 1), parameters.max).clamp(min(stable, limit))
    after["changes"] = [*changes, [now, desired - held]] if desired > held else changes
    if desired == held:
        return desired, "stabilized" if wanted < held else "hold", words
    return desired, "up" if desired > held else "down", words
