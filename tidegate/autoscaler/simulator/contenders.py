"""Policies by name, for the simulator: `sloq`, `hpa:inflight=0.7`, `kpa:panic_threshold=3`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.autoscaler.baselines import keda, kpa, ray_serve, step
from tidegate.autoscaler.hpa import hpa
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.sloq import sloq
from tidegate.autoscaler.sloq_parameters import SloqParameters
from tidegate.autoscaler.types import Policy

Options = Mapping[str, float]


class ContenderError(ValueError):
    """A policy cannot be made from its words. The text says what is wrong and what there is."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy as it takes part.

    Attributes:
        name: its words.
        policy: what decides.
        tick_seconds: how often.
    """

    name: str
    policy: Policy
    tick_seconds: float


@dataclass(frozen=True, slots=True)
class _Maker:
    make: Callable[[System, dict[str, Any]], Policy]
    tick_seconds: float


def contender(words: str, system: System) -> Contender:
    """The policy that the words name, with its options, for a system.

    Each policy ticks as often as its authors have it, unless `tick` says otherwise.

    Args:
        words: `NAME` or `NAME:OPTION=NUMBER,…`.
        system: what it is for: its bounds and its objective.

    Raises:
        ContenderError: there is no such policy, or it has no such option.
    """
    name, _, rest = words.partition(":")
    if name not in MAKERS:
        raise ContenderError(f"there is no policy {name!r}, only {', '.join(MAKERS)}")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        option, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise ContenderError(f"policy {words!r}: {part!r} is not OPTION=NUMBER") from error
        options[option.strip()] = int(number) if number.is_integer() else number
    tick_seconds = float(options.pop("tick", MAKERS[name].tick_seconds))
    if not tick_seconds > 0:
        raise ContenderError(f"policy {words!r}: tick must be above 0 s")
    try:
        return Contender(words, MAKERS[name].make(system, options), tick_seconds)
    except TypeError as error:
        raise ContenderError(f"policy {words!r}: {error}") from error


def _sloq(system: System, options: dict[str, Any]) -> Policy:
    own = {"slo_seconds": system.slo_seconds, "slo_quantile": system.slo_quantile, **options}
    return sloq(SloqParameters(**_bounds(system), **own))


def _hpa(system: System, options: dict[str, Any]) -> Policy:
    own = {"target" if name == "inflight" else name: value for name, value in options.items()}
    return hpa(system.bounds, **own)


def _bounds(system: System) -> dict[str, Any]:
    return {"min": system.bounds.min, "max": system.bounds.max}


MAKERS: Final[Mapping[str, _Maker]] = {
    "sloq": _Maker(_sloq, 5.0),
    "hpa": _Maker(_hpa, 15.0),
    "kpa": _Maker(
        lambda system, own: kpa.kpa(kpa.KpaParameters(**_bounds(system), **own)),
        kpa.TICK_SECONDS,
    ),
    "ray-serve": _Maker(
        lambda system, own: ray_serve.ray_serve(
            ray_serve.RayServeParameters(**_bounds(system), **own)
        ),
        ray_serve.TICK_SECONDS,
    ),
    "keda": _Maker(
        lambda system, own: keda.keda(keda.KedaParameters(**_bounds(system), **own)),
        keda.TICK_SECONDS,
    ),
    "step": _Maker(
        lambda system, own: step.step(step.StepParameters(**_bounds(system), **own)),
        step.TICK_SECONDS,
    ),
}
