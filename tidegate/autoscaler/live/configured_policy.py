"""The policy that the settings ask for: named by its words, within the schedule."""

from __future__ import annotations

from dataclasses import replace

from tidegate.autoscaler.policy_builder import Choice, check_live, choose
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import Goal
from tidegate.autoscaler.types import Bounds
from tidegate.autoscaler.wrappers.scale_to_zero import ZeroParameters, to_zero
from tidegate.autoscaler.wrappers.schedule import Window, scheduled
from tidegate.settings import Settings, bad_value


def configured(settings: Settings) -> Choice:
    """The policy that decides live.

    `[autoscaler.hpa]` says what HPA's options are if the words do not.
    """
    told = settings.autoscaler
    choice = choose(
        told.policy,
        goal(settings),
        tick_seconds=told.tick_seconds,
        defaults={"hpa": told.hpa.model_dump()},
    )
    if settings.replicas.min == 0:
        zero = ZeroParameters(settings.replicas.max, told.idle_seconds, told.stale_seconds)
        choice = replace(choice, policy=to_zero(choice.policy, choice.parameters, zero))
    if not told.schedule:
        return choice
    windows = [
        Window(one.cron, one.min, one.max, one.timezone, one.minutes) for one in told.schedule
    ]
    return replace(choice, policy=scheduled(choice.policy, windows, bounds(settings)))


def check_policy(settings: Settings) -> None:
    """Stop the start if `autoscaler.policy` names no policy that can run live.

    Raises:
        SettingsError: it does not; the text names the setting.
    """
    words = settings.autoscaler.policy
    try:
        check_live(words)
    except PolicyError as error:
        raise bad_value("autoscaler.policy", str(error), words) from error


def goal(settings: Settings) -> Goal:
    """What the settings want a policy to keep, as long as there is a replica."""
    return Goal(
        Bounds(max(1, settings.replicas.min), settings.replicas.max),
        settings.slo.latency_seconds,
        settings.slo.latency_quantile,
        settings.autoscaler.stale_seconds,
        slots=settings.slots.per_replica,
        most_slots=settings.slots.effective_max,
    )


def bounds(settings: Settings) -> Bounds:
    """The number of replicas never leaves these."""
    return Bounds(settings.replicas.min, settings.replicas.max)
