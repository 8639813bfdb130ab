"""Durations and rates as the command line takes them: `500ms`, `30s`, `2m`, `50`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

TIME_UNITS: Final[Mapping[str, float]] = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_RATE: Final = 100_000
_SECONDS: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)?")


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
    """Requests per second. It raises ValueError unless they are above 0, and at most 100,000."""
    value = float(text)
    if not 0 < value <= MAX_RATE:
        raise ValueError(f"{text!r}: expected requests per second, such as 50")
    return value
