"""A timer with nanosecond resolution on the monotonic clock.

Event loops round their timers: uvloop to milliseconds, asyncio's epoll up to the next millisecond. Waking
early and spinning would use a CPU core, which a load generator on the machine of the service must not take. A
timerfd of Linux has neither problem: its file descriptor becomes readable at an absolute time, and any event
loop can wait for it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Final, Self

# <time.h> and <sys/timerfd.h>. Python has os.timerfd_create since 3.13; this calls libc.
CLOCK_MONOTONIC: Final = 1
TFD_TIMER_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class AbsoluteTimer:
    """A context manager that wakes one coroutine at a given time of `time.monotonic()`.

    Raises:
        OSError: the timer cannot be created.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._timer = int(self._libc.timerfd_create(CLOCK_MONOTONIC, flags))
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._expired = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._timer, self._on_expired)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._timer)
        os.close(self._timer)

    async def wait_until(self, when: float) -> None:
        """Return at `when` (`time.monotonic()`), or after one iteration of the loop if it is past."""
        if when <= time.monotonic():
            # Let the tasks of earlier requests run; otherwise a late sender would never catch up.
            await asyncio.sleep(0)
            return
        self._expired.clear()
        seconds, nanoseconds = divmod(int(when * 1e9), 1_000_000_000)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        if self._libc.timerfd_settime(self._timer, TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await self._expired.wait()

    def _on_expired(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:  # a stale wake-up; the timer was set again
            return
        self._expired.set()
