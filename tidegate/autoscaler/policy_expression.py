"""Policy expressions: `sloq`, `hpa:inflight=0.7`, `max(sloq,hpa:inflight=0.7)`.

The grammar, for the settings, `tidegate simulate` and `tidegate replay`:

    policy   = NAME [ ":" options ]  |  ( "max" | "min" ) "(" policy "," policy … ")" [ ":" options ]
    options  = OPTION "=" NUMBER "," …

Options may be followed by a policy, since a policy's name contains no `=`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Limits of an option's value: beyond any need, and arithmetic stays finite.
MIN_OPTION: Final = 1e-6
MAX_OPTION: Final = 1e9
# Limits that keep an explanation readable.
MAX_PARTS: Final = 8
MAX_DEPTH: Final = 3
COMPOSED: Final = re.compile(r"\s*(max|min)\s*\((.*)\)\s*(?::(.*))?", re.DOTALL)
OPTION: Final = re.compile(r"\s*\w+\s*=")


class PolicyError(ValueError):
    """A policy expression is invalid. The text says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Composition:
    """Several policies, of which one decides at each tick.

    Attributes:
        by: how that one is picked: `max` or `min`.
        parts: their expressions.
        options: of the composition.
    """

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
        PolicyError: parentheses do not match, or the number of parts is not 2 to 8.
    """
    if "(" not in expression and ")" not in expression:
        return None
    found = COMPOSED.fullmatch(expression)
    if found is None:
        raise PolicyError(
            f"policy {expression!r}: parentheses are only allowed in max(POLICY,…) and min(POLICY,…)"
        )
    by, inside, options_text = found.groups()
    parts = _split(expression, inside)
    if len(set(parts)) < len(parts) or not all(parts):
        raise PolicyError(f"policy {expression!r}: {by}(…) needs policies, without duplicates")
    if not 2 <= len(parts) <= MAX_PARTS:
        raise PolicyError(f"policy {expression!r}: {by}(…) takes 2 to {MAX_PARTS} policies")
    return Composition(by, parts, _parse_options(expression, options_text or ""))


def options_of(expression: str) -> dict[str, int | float]:
    """The options of the whole expression.

    Raises:
        PolicyError: it is invalid.
    """
    composition = parse_composition(expression)
    return composition.options if composition else parse_policy(expression)[1]


def _split(expression: str, inside: str) -> tuple[str, ...]:
    """The parts between top-level commas."""
    parts, depth = [""], 0
    for piece in re.split(r"([(),])", inside):
        depth += (piece == "(") - (piece == ")")
        if not 0 <= depth < MAX_DEPTH:
            raise PolicyError(
                f"policy {expression!r}: parentheses must match and nest at most {MAX_DEPTH} deep"
            )
        if piece == "," and not depth:
            parts.append("")
        elif depth == 0 and parts[-1] == "" and len(parts) > 1 and OPTION.match(piece):
            # Another option of the previous policy, not a policy.
            parts.pop()
            parts[-1] += f",{piece}"
        else:
            parts[-1] += piece
    if depth:
        raise PolicyError(f"policy {expression!r}: a parenthesis is not closed")
    return tuple(part.strip() for part in parts)


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
