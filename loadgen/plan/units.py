"""Durations and rates as the command line takes them: `500ms`, `30s`, `2m`, `50/s`, `100/m`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

TIME_UNITS: Final[Mapping[str, float]] = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER: Final = r"(\d+(?:\.\d+)?|\.\d+)"
_SECONDS: Final = re.compile(_NUMBER + r"\s*(ms|s|m|h)?")
_RATE: Final = re.compile(_NUMBER + r"(?:/1?(s|m|h))?")
MAX_RATE: Final = 100_000


def seconds(least: float, most: float) -> Callable[[str], float]:
    """A parser of durations within these seconds; a plain number is in seconds. It raises ValueError."""

    def duration(text: str) -> float:
        match = _SECONDS.fullmatch(str(text).strip())
        value = float(match[1]) * TIME_UNITS[match[2] or "s"] if match else -1.0
        if not least <= value <= most:
            raise ValueError(
                f"{text!r}: expected a duration such as 500ms, 30s or 2m, from {least:g} s to {most:g} s"
            )
        return value

    return duration


def rate(text: str) -> float:
    """Requests per second.

    Raises:
        ValueError: it is no rate, or not above 0, or above 100,000.
    """
    match = _RATE.fullmatch(str(text).strip())
    value = float(match[1]) / TIME_UNITS[match[2] or "s"] if match else 0.0
    if not 0 < value <= MAX_RATE:
        raise ValueError(f"{text!r}: expected requests per second such as 50, 50/s or 100/m")
    return value
