"""Wait for a condition, up to a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from tidegate.store.base import StoreUnavailableError

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 0.002
# What cannot be reached is what a test mostly waits for.
UNREACHABLE = (OSError, StoreUnavailableError)


def eventually(
    condition: Callable[[], T | None], what: str = "", seconds: float = 120, *, every: float = 0.1
) -> T:
    """The condition's value, once it is true; OSError and StoreUnavailableError count as false.

    It is asked soon at first, and later each `every` seconds.

    Raises:
        AssertionError: it was not true within `seconds`; the message has `what` and the last value.
    """
    seen: object = None
    for pause in _pauses(seconds, every):
        try:
            if found := condition():
                return found
            seen = found
        except UNREACHABLE as error:
            seen = repr(error)  # an error itself would keep its frames, and their sockets
        time.sleep(pause)
    raise AssertionError(_message(what, seconds, seen))


async def eventually_async(
    condition: Callable[[], object], what: str = "", seconds: float = 120, *, every: float = 0.1
) -> None:
    """Wait until the condition is true, or what it returns if that is awaitable; other tasks run meanwhile.

    Raises:
        AssertionError: as from `eventually`, or an awaited condition did not end within `seconds`.
    """
    seen: object = None
    for pause in _pauses(seconds, every):
        try:
            seen = condition()
            if isinstance(seen, Awaitable):
                seen = await asyncio.wait_for(seen, seconds)
        except UNREACHABLE as error:
            seen = repr(error)
        else:
            if seen:
                return
        await asyncio.sleep(pause)
    raise AssertionError(_message(what, seconds, seen))


def _pauses(seconds: float, every: float) -> Iterator[float]:
    """The pauses between two looks, until the time is over; the last look is after the deadline."""
    deadline, pause = time.monotonic() + seconds, min(FIRST_PAUSE_SECONDS, every)
    while time.monotonic() <= deadline:
        yield pause
        pause = min(2 * pause, every)
    yield 0


def _message(what: str, seconds: float, seen: object) -> str:
    return f"not within {seconds:g} s: {what or 'the condition'}; last seen: {seen!r}"
