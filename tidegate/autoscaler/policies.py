"""Policies by their words.

A policy is made from its parameters (JSON types), which stand in each decision's inputs. So the
running autoscaler, the simulator and a replay make the same policy in the same way, from the same
words (`words.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.autoscaler.kinds import KINDS, Goal, Kind
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.autoscaler.words import PolicyError, read_words


@dataclass(frozen=True, slots=True)
class Choice:
    """A policy that was chosen.

    Attributes:
        words: what it was named by.
        parameters: all of them; with the name in the words they make it again.
        policy: what decides.
        tick_seconds: how often.
        history: whether it wants to know what came on earlier days.
        sets_slots: whether it changes the slots of replicas.
    """

    words: str
    parameters: Mapping[str, Any]
    policy: Policy
    tick_seconds: float
    history: bool = False
    sets_slots: bool = False


def choose(
    words: str,
    goal: Goal,
    *,
    tick_seconds: float | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Choice:
    """The policy that the words name.

    Args:
        words: `NAME` or `NAME:OPTION=NUMBER,…`; the option `tick` says how often it decides.
        goal: what it is for.
        tick_seconds: how often it decides if its words do not say; None is as its authors have it.
        defaults: by policy, what its options are if its words do not say.

    Raises:
        PolicyError: there is no such policy, or it has no such option.
    """
    name, options = read_words(words)
    kind = _kind(name)
    every = options.pop("tick", tick_seconds or kind.tick_seconds)
    if not every > 0:
        raise PolicyError(f"policy {words!r}: tick must be above 0 s")
    own = {kind.aliases.get(option, option): value for option, value in options.items()}
    _check(words, kind, own)
    given = (defaults or {}).get(name, {})
    parameters = {**kind.told(goal, float(every)), **given, **own}
    policy = kind.make(parameters)
    return Choice(words, parameters, policy, float(every), kind.history, kind.sets_slots)


def check_live(words: str) -> None:
    """Raise `PolicyError` if the words name no policy that can decide for replicas that are there."""
    _, options = read_words(words)
    choose(words, Goal(Bounds(1, 1), slo_seconds=1.0))
    if options.get("idle", 1) < 1:
        raise PolicyError(
            f"policy {words!r}: idle must be at least 1: to go to zero is for every policy alike,"
            " by replicas.min = 0 and autoscaler.idle_seconds"
        )


def policy_from_parameters(words: str, parameters: Mapping[str, Any]) -> Policy:
    """The policy of that name with these parameters.

    Args:
        words: as it was named; its options are in the parameters already.
        parameters: as they stand in its decisions' inputs.

    Raises:
        ValueError: there is no such policy, or its parameters are others.
    """
    name = words.partition(":")[0]
    try:
        return _kind(name).make(parameters)
    except (KeyError, TypeError) as error:
        raise ValueError(f"these are not the parameters of policy {name!r}: {error}") from error


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise PolicyError(f"there is no policy {name!r}, only {', '.join(KINDS)}")
    return KINDS[name]


def _check(words: str, kind: Kind, options: Mapping[str, int | float]) -> None:
    for option, value in options.items():
        if option not in kind.options:
            raise PolicyError(
                f"policy {words!r}: there is no option {option!r}, only"
                f" {', '.join([*kind.aliases, *kind.options, 'tick'])}"
            )
        if option in kind.above_zero and not value > 0:
            raise PolicyError(f"policy {words!r}: {option} must be above 0")
        if kind.options[option].startswith("int") and not isinstance(value, int):
            raise PolicyError(f"policy {words!r}: {option} must be a whole number")
