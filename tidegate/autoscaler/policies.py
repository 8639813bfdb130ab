"""Every policy by its name: the one place where a new one is entered.

A policy is made from its parameters (JSON types), which stand in each decision's inputs. So the
running autoscaler and a replay make the same policy in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.hpa import hpa
from tidegate.autoscaler.sloq import sloq
from tidegate.autoscaler.sloq_parameters import SloqParameters
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.settings import Settings


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of policy: its parameters from the settings, and the policy from its parameters."""

    parameters: Callable[[Settings], dict[str, Any]]
    make: Callable[[Mapping[str, Any]], Policy]


def policy_from_settings(settings: Settings) -> Policy:
    """The policy that the settings ask for."""
    kind = KINDS[settings.autoscaler.policy]
    return kind.make(kind.parameters(settings))


def policy_from_parameters(name: str, parameters: Mapping[str, Any]) -> Policy:
    """The policy of that name with these parameters.

    Raises:
        ValueError: there is no such policy, or its parameters are others.
    """
    if name not in KINDS:
        raise ValueError(f"there is no policy {name!r}, only {', '.join(sorted(KINDS))}")
    try:
        return KINDS[name].make(parameters)
    except (KeyError, TypeError) as error:
        raise ValueError(f"these are not the parameters of policy {name!r}: {error}") from error


def _hpa_parameters(settings: Settings) -> dict[str, Any]:
    return {
        "min": settings.replicas.min,
        "max": settings.replicas.max,
        "stale_seconds": settings.autoscaler.stale_seconds,
        **settings.autoscaler.hpa.model_dump(),
    }


def _make_hpa(parameters: Mapping[str, Any]) -> Policy:
    own = {name: value for name, value in parameters.items() if name not in {"min", "max"}}
    return hpa(Bounds(parameters["min"], parameters["max"]), **own)


def _sloq_parameters(settings: Settings) -> dict[str, Any]:
    return {
        "min": settings.replicas.min,
        "max": settings.replicas.max,
        "slo_seconds": settings.slo.latency_seconds,
        "slo_quantile": settings.slo.latency_quantile,
        "stale_seconds": settings.autoscaler.stale_seconds,
        "tick_seconds": settings.autoscaler.tick_seconds,
    }


def _make_sloq(parameters: Mapping[str, Any]) -> Policy:
    return sloq(SloqParameters(**parameters))


KINDS: Final[Mapping[str, Kind]] = {
    "hpa": Kind(_hpa_parameters, _make_hpa),
    "sloq": Kind(_sloq_parameters, _make_sloq),
}
