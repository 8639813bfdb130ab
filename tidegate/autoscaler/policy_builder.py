"""Policies by their words.

A policy is made from its parameters (JSON types), which stand in each decision's inputs. So the
running autoscaler, the simulator and a replay make the same policy in the same way, from the same
words (`words.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.autoscaler.policy_expression import Composed, PolicyError, read_composed, read_words
from tidegate.autoscaler.policy_registry import KINDS, Goal, Kind
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.autoscaler.wrappers.combinators import COMBINATORS


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
        counts_slots: whether it takes no CPU in their place.
    """

    words: str
    parameters: Mapping[str, Any]
    policy: Policy
    tick_seconds: float
    history: bool = False
    sets_slots: bool = False
    counts_slots: bool = False


def choose(
    words: str,
    goal: Goal,
    *,
    tick_seconds: float | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Choice:
    """The policy that the words name.

    Args:
        words: `NAME`, `NAME:OPTION=NUMBER,…`, or `max(…)` and `min(…)` of them; the option `tick` says
            how often it decides.
        goal: what it is for.
        tick_seconds: how often it decides if its words do not say; None is as its authors have it.
        defaults: by policy, what its options are if its words do not say.

    Raises:
        PolicyError: there is no such policy, or it has no such option.
    """
    if composed := read_composed(words):
        return _choose_composed(words, composed, goal, tick_seconds, defaults)
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
    return Choice(
        words,
        parameters,
        policy,
        float(every),
        kind.history,
        sets_slots=kind.sets_slots,
        counts_slots=kind.counts_slots,
    )


def _choose_composed(
    words: str,
    composed: Composed,
    goal: Goal,
    tick_seconds: float | None,
    defaults: Mapping[str, Mapping[str, Any]] | None,
) -> Choice:
    """All parts decide at each tick: else one of them would answer to signals of a while ago."""
    for part in composed.parts:
        if "tick" in _options(part):
            raise PolicyError(
                f"policy {words!r}: tick is for all parts alike: {composed.by}(…):tick=SECONDS"
            )
    if others := composed.options.keys() - {"tick"}:
        raise PolicyError(
            f"policy {words!r}: {composed.by}(…) has the option tick, not {min(others)}"
        )
    own = [choose(part, goal, defaults=defaults) for part in composed.parts]
    for one in own:
        if one.sets_slots:
            raise PolicyError(
                f"policy {words!r}: {one.words} changes slots, which {composed.by}(…) cannot pick from"
            )
    tick = composed.options.get("tick", tick_seconds or min(part.tick_seconds for part in own))
    if not tick > 0:
        raise PolicyError(f"policy {words!r}: tick must be above 0 s")
    parts = [
        choose(part, goal, tick_seconds=float(tick), defaults=defaults) for part in composed.parts
    ]
    parameters = {
        "min": goal.bounds.min,
        "max": goal.bounds.max,
        "parts": [{"policy": part.words, "parameters": dict(part.parameters)} for part in parts],
    }
    policy = COMBINATORS[composed.by]({part.words: part.policy for part in parts}, parameters)
    return Choice(words, parameters, policy, float(tick), any(part.history for part in parts))


def _options(words: str) -> Mapping[str, int | float]:
    composed = read_composed(words)
    return composed.options if composed else read_words(words)[1]


def check_live(words: str) -> None:
    """Raise `PolicyError` if the words name no policy that can decide for replicas that are there."""
    choose(words, Goal(Bounds(1, 1), slo_seconds=1.0))
    if composed := read_composed(words):
        for part in composed.parts:
            check_live(part)
        return
    _, options = read_words(words)
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
    composed = read_composed(words)
    name = composed.by if composed else words.partition(":")[0]
    try:
        if composed is None:
            return _kind(name).make(parameters)
        parts = {
            part["policy"]: policy_from_parameters(part["policy"], part["parameters"])
            for part in parameters["parts"]
        }
        return COMBINATORS[composed.by](parts, parameters)
    except (KeyError, TypeError) as error:
        raise ValueError(f"these are not the parameters of policy {name!r}: {error}") from error


def _kind(name: str) -> Kind:
    if name not in KINDS:
        known = ", ".join([*KINDS, *(f"{by}(…)" for by in COMBINATORS)])
        raise PolicyError(f"there is no policy {name!r}, only {known}")
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
