"""Wait for a condition, up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, *, seconds: float, every: float = 0.1) -> T:
    """Wait until the condition is true; returns its value.

    Raises:
        TimeoutError: it did not become true in time; the message has `what` and the last value.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s (last: {value!r})")
        time.sleep(every)
    return value
