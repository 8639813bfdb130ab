"""How a policy is named: `sloq`, `hpa:inflight=0.7`, `max(sloq,hpa:inflight=0.7)`.

One grammar for the settings, for `tidegate simulate` and for `tidegate replay`:

    policy   = NAME [ ":" options ]  |  ( "max" | "min" ) "(" policy "," policy … ")" [ ":" options ]
    options  = OPTION "=" NUMBER "," …

Options may be followed by a policy, since no policy's name has a `=` in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# What an option may be: no service needs more, and arithmetic with these stays finite.
LEAST: Final = 1e-6
MOST: Final = 1e9
# More than anybody can follow in a sentence.
MOST_PARTS: Final = 8
MOST_DEPTH: Final = 3
COMPOSED: Final = re.compile(r"\s*(max|min)\s*\((.*)\)\s*(?::(.*))?", re.DOTALL)
OPTION: Final = re.compile(r"\s*\w+\s*=")


class PolicyError(ValueError):
    """A policy cannot be made from its words. The text says what is wrong and what there is."""


@dataclass(frozen=True, slots=True)
class Composed:
    """Policies of which one decides at each tick.

    Attributes:
        by: how it is picked: `max` or `min`.
        parts: their words.
        options: those of the whole.
    """

    by: str
    parts: tuple[str, ...]
    options: dict[str, int | float]


def name_of(words: str) -> str:
    """The name before the options: `max` and `min` where policies are composed."""
    return re.split(r"[:(]", words, maxsplit=1)[0].strip()


def read_words(words: str) -> tuple[str, dict[str, int | float]]:
    """The name and the options in `NAME` or `NAME:OPTION=NUMBER,…`.

    Raises:
        PolicyError: an option is none.
    """
    name, _, rest = words.partition(":")
    return name.strip(), _read_options(words, rest)


def read_composed(words: str) -> Composed | None:
    """What `max(…)` or `min(…)` is made of; None if the words name a single policy.

    Raises:
        PolicyError: parentheses do not match, there are no two parts, or too many.
    """
    if "(" not in words and ")" not in words:
        return None
    found = COMPOSED.fullmatch(words)
    if found is None:
        raise PolicyError(f"policy {words!r}: parentheses are for max(POLICY,…) and min(POLICY,…)")
    by, inside, rest = found.groups()
    parts = _split(words, inside)
    if len(set(parts)) < len(parts) or not all(parts):
        raise PolicyError(f"policy {words!r}: {by}(…) needs policies, each of them once")
    if not 2 <= len(parts) <= MOST_PARTS:
        raise PolicyError(f"policy {words!r}: {by}(…) is of 2 to {MOST_PARTS} policies")
    return Composed(by, parts, _read_options(words, rest or ""))


def _split(words: str, inside: str) -> tuple[str, ...]:
    """The parts between commas that stand in no further parentheses."""
    parts, depth = [""], 0
    for piece in re.split(r"([(),])", inside):
        depth += (piece == "(") - (piece == ")")
        if not 0 <= depth < MOST_DEPTH:
            raise PolicyError(
                f"policy {words!r}: parentheses must match, {MOST_DEPTH} within each other at most"
            )
        if piece == "," and not depth:
            parts.append("")
        elif depth == 0 and parts[-1] == "" and len(parts) > 1 and OPTION.match(piece):
            # Another option of the policy before, not a policy of its own.
            parts.pop()
            parts[-1] += f",{piece}"
        else:
            parts[-1] += piece
    if depth:
        raise PolicyError(f"policy {words!r}: a parenthesis is not closed")
    return tuple(part.strip() for part in parts)


def _read_options(words: str, rest: str) -> dict[str, int | float]:
    options: dict[str, int | float] = {}
    for part in filter(None, rest.split(",")):
        option, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError as error:
            raise PolicyError(f"policy {words!r}: {part!r} is not OPTION=NUMBER") from error
        if number and not LEAST <= number <= MOST:
            raise PolicyError(
                f"policy {words!r}: {option.strip()} must be 0 or from {LEAST:g} to {MOST:g}"
            )
        options[option.strip()] = int(number) if number.is_integer() else number
    return options
