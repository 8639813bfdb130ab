"""Builds the policy of the settings, prepared for rises by the clock and within the schedule."""

from __future__ import annotations

from dataclasses import replace

from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.settings import Settings, bad_value


def configured_policy(settings: Settings) -> BuiltPolicy:
    """The policy that decides live.

    `[autoscaler.hpa]` has the options of `hpa` that are not in the expression.
    """
    autoscaler = settings.autoscaler
    built = build_policy(
        autoscaler.policy,
        policy_context(settings),
        tick_seconds=autoscaler.tick_seconds,
        defaults={"hpa": autoscaler.hpa.model_dump()},
        prepares=autoscaler.predictive,
    )
    if settings.replicas.min == 0:
        zero = ScaleToZeroParameters(
            settings.replicas.max, autoscaler.idle_seconds, autoscaler.stale_seconds
        )
        built = replace(built, policy=scale_to_zero(built.policy, built.parameters, zero))
    if not autoscaler.schedule:
        return built
    policy = scheduled(built.policy, autoscaler.schedule, bounds(settings))
    return replace(built, policy=policy)


def check_policy(settings: Settings) -> None:
    """Check that `autoscaler.policy` is a policy that can run live.

    Raises:
        SettingsError: it is not; the text names the setting.
    """
    expression = settings.autoscaler.policy
    try:
        build_policy(expression, PolicyContext(Bounds(1, 1), slo_seconds=1.0))
    except PolicyError as error:
        raise bad_value("autoscaler.policy", str(error), expression) from error


def policy_context(settings: Settings) -> PolicyContext:
    """The context of a policy. Its minimum is at least 1: scale to zero is a wrapper."""
    return PolicyContext(
        Bounds(max(1, settings.replicas.min), settings.replicas.max),
        settings.slo.latency_seconds,
        settings.slo.latency_quantile,
        settings.autoscaler.stale_seconds,
        slots=settings.slots.per_replica,
        most_slots=settings.slots.effective_max,
        until=settings.slo.until,
        priority=settings.autoscaler.priority,
        start_seconds=settings.replicas.start_seconds,
    )


def bounds(settings: Settings) -> Bounds:
    """The bounds of the number of replicas."""
    return Bounds(settings.replicas.min, settings.replicas.max)
