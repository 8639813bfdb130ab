"""Numbers of one unit, for people: all with the same number of decimals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

# Of a number of the typical size.
SIGNIFICANT_DIGITS: Final = 3
_MAX_DECIMALS: Final = 6
# From here on an exponent is shorter.
_EXPONENT: Final = 1e9

Format = Callable[[float | None], str]


def number_format(typical: float | None) -> Format:
    """A function that formats numbers, so that one of the typical size has three significant digits.

    `-` stands for an unknown number.
    """
    decimals = 2
    if typical and math.isfinite(typical):
        decimals = SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(abs(typical)))
    places = min(_MAX_DECIMALS, max(0, decimals))
    tiny = decimals > _MAX_DECIMALS

    def text(value: float | None) -> str:
        if value is None or math.isnan(value):
            return "-"
        if abs(value) >= _EXPONENT or (tiny and value):
            return f"{value:.3g}"
        return f"{value:,.{places}f}"

    return text


def percent(value: float | None) -> str:
    """A fraction as a percentage; `-` if it is unknown."""
    return "-" if value is None or math.isnan(value) else f"{value:.1%}"


def signed(text: Format) -> Format:
    """The same with a sign."""

    def with_sign(value: float | None) -> str:
        formatted = text(value)
        return formatted if formatted.startswith("-") else f"+{formatted}"

    return with_sign
