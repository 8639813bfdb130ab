"""Exponential backoff with jitter: how long to wait after a failure before the next attempt.

Libraries such as tenacity and stamina are loops around a call. Nothing here has such a call: the collector
returns the wait to its loop, the supervisor waits for a process to exit, the resizer decides at each tick.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# 2^16 is over any maximum: the exponent stays bounded in a crash loop that lasts for days.
_LARGEST_EXPONENT: Final = 16


@dataclass(slots=True)
class Backoff:
    """The waits after failures in a row. The defaults are those of a process that is restarted.

    Jitter takes off up to half, so that components that failed together do not retry together.

    Attributes:
        first_seconds: the first wait; it doubles from failure to failure.
        longest_seconds: the maximum.
        immediate: number of failures that are retried at once: the first may be an exception.
        stable_seconds: a process that ran this long has recovered from earlier failures.
        random: a number from 0 to 1.
        failures: failures in a row.
    """

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    immediate: int = 1
    stable_seconds: float = 60.0
    random: Callable[[], float] = random.random
    failures: int = field(default=0, init=False)

    def failed(self, ran_seconds: float = 0.0, *, at_once: bool = True) -> float:
        """Count a failure of a process that ran so long, and return the seconds to wait.

        Only `at_once` the first `immediate` failures need no wait.
        """
        if ran_seconds >= self.stable_seconds:
            self.failures = 0
        self.failures += 1
        if self.failures <= self.immediate and at_once:
            return 0.0
        exponent = min(max(self.failures - 1 - self.immediate, 0), _LARGEST_EXPONENT)
        wait = min(self.longest_seconds, self.first_seconds * 2.0**exponent)
        return wait * (1.0 - 0.5 * self.random())

    def succeeded(self) -> None:
        """Start again from the first wait."""
        self.failures = 0
