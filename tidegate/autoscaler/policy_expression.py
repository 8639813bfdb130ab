"""Policy expressions: `sloq`, `hpa:inflight=0.7`, `max(sloq,hpa:inflight=0.7)`.

The grammar, for the settings, `tidegate simulate` and `tidegate replay`:

    expression = policy  |  ( "max" | "min" ) "(" policy "," policy … ")" [ ":" options ]
    policy     = NAME [ ":" options ]
    options    = OPTION "=" NUMBER "," …
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Limits of an option's value: beyond any need, and arithmetic stays finite.
MIN_OPTION: Final = 1e-6
MAX_OPTION: Final = 1e9
COMPOSED: Final = re.compile(r"\s*(max|min)\s*\(([^()]*)\)\s*(?::(.*))?", re.DOTALL)
# Behind a comma is another policy, or another option of the same one, which begins with `OPTION=`.
NEXT_POLICY: Final = re.compile(r",(?!\s*\w+\s*=)")


class PolicyError(ValueError):
    """A policy expression is invalid. The text says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Several policies, of which one decides at each tick."""

    by: str
    parts: tuple[str, ...]
    options: dict[str, int | float]


def policy_name_of(expression: str) -> str:
    """The policy's name without options; `max` or `min` for a composition."""
    return re.split(r"[:(]", expression, maxsplit=1)[0].strip()


def parse_policy(expression: str) -> tuple[str, dict[str, int | float]]:
    """The name and the options in `NAME` or `NAME:OPTION=NUMBER,…`.

    Raises:
        PolicyError: an option is not `OPTION=NUMBER`, or its value is out of range.
    """
    name, _, options_text = expression.partition(":")
    return name.strip(), _parse_options(expression, options_text)


def parse_composition(expression: str) -> Composition | None:
    """Parse `max(…)` or `min(…)`; None for a single policy.

    Raises:
        PolicyError: parentheses are misplaced, or these are not two policies or more.
    """
    if "(" not in expression and ")" not in expression:
        return None
    found = COMPOSED.fullmatch(expression)
    if found is None:
        raise PolicyError(
            f"policy {expression!r}: parentheses are only allowed in max(POLICY,…) and min(POLICY,…), which"
            " are no part of one another"
        )
    by, inside, options_text = found.groups()
    parts = tuple(part.strip() for part in NEXT_POLICY.split(inside))
    if len(set(parts)) < max(2, len(parts)) or not all(parts):
        raise PolicyError(
            f"policy {expression!r}: {by}(…) needs two policies or more, all different"
        )
    return Composition(by, parts, _parse_options(expression, options_text or ""))


def options_of(expression: str) -> dict[str, int | float]:
    """The options of the whole expression.

    Raises:
        PolicyError: it is invalid.
    """
    composition = parse_composition(expression)
    return composition.options if composition else parse_policy(expression)[1]


def _parse_options(expression: str, options_text: str) -> dict[str, int | float]:
    options: dict[str, int | float] = {}
    for part in filter(None, options_text.split(",")):
        option, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise PolicyError(f"policy {expression!r}: {part!r} is not OPTION=NUMBER") from error
        if number and not MIN_OPTION <= number <= MAX_OPTION:
            raise PolicyError(
                f"policy {expression!r}: {option.strip()} must be 0, or from {MIN_OPTION:g} to {MAX_OPTION:g}"
            )
        options[option.strip()] = int(number) if number.is_integer() else number
    return options
