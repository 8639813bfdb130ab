"""How a policy is named: `sloq`, `hpa:inflight=0.7`, `kpa:panic_threshold=3,tick=2`.

One grammar for the settings, for `tidegate simulate` and for `tidegate replay`.
"""

from __future__ import annotations

from typing import Final

# What an option may be: no service needs more, and arithmetic with these stays finite.
LEAST: Final = 1e-6
MOST: Final = 1e9


class PolicyError(ValueError):
    """A policy cannot be made from its words. The text says what is wrong and what there is."""


def read_words(words: str) -> tuple[str, dict[str, int | float]]:
    """The name and the options in `NAME` or `NAME:OPTION=NUMBER,…`.

    Raises:
        PolicyError: an option is none.
    """
    name, _, rest = words.partition(":")
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
    return name.strip(), options
