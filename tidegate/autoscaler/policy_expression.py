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
class Expression:
    """A policy with its options, or several policies, of which one decides at each tick.

    Attributes:
        text: as it is written.
        name: that of the policy; `max` or `min` for a composition.
        options: of a composition, those of the whole.
        parts: the policies of a composition; empty for a single one.
    """

    text: str
    name: str
    options: dict[str, int | float]
    parts: tuple[Expression, ...] = ()


def parse(text: str) -> Expression:
    """The expression in a text; names of policies and options may be unknown.

    Raises:
        PolicyError: parentheses are misplaced, a composition is not of two policies or more, an option is not
            `OPTION=NUMBER`, or its value is out of range.
    """
    found = COMPOSED.fullmatch(text)
    if found is None:
        if "(" in text or ")" in text:
            raise PolicyError(
                f"policy {text!r}: parentheses are only allowed in max(POLICY,…) and min(POLICY,…), which are"
                " no part of one another"
            )
        name, _, options_text = text.partition(":")
        return Expression(text, name.strip(), _parse_options(text, options_text))
    by, inside, options_text = found.groups()
    parts = [part.strip() for part in NEXT_POLICY.split(inside)]
    if len(set(parts)) < max(2, len(parts)) or not all(parts):
        raise PolicyError(f"policy {text!r}: {by}(…) needs two policies or more, all different")
    return Expression(text, by, _parse_options(text, options_text or ""), tuple(map(parse, parts)))


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
