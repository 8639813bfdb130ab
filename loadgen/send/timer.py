"""An alarm clock on the absolute, monotonic clock, to the nanosecond.

Event loops round their timers: uvloop to whole milliseconds, asyncio's epoll up to the next one. Waking
early and spinning makes up for it at the price of a core, which a load generator beside the service
it measures must not take. Linux' timerfd has neither fault: armed with an absolute time, it makes a
file descriptor readable at that time, and any event loop can wait for that.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Final, Self

# <time.h> and <sys/timerfd.h>. Python has os.timerfd_create from 3.13 on; this asks libc for the same.
CLOCK_MONOTONIC: Final = 1
TFD_TIMER_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Wakes one coroutine at a given time of `time.monotonic()`. Use it as a context manager.

    Raises:
        OSError: the kernel gives no timer.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self._timer = int(self._libc.timerfd_create(CLOCK_MONOTONIC, flags))
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._rung = asyncio.Event()

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_reader(self._timer, self._ring)
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
        """Return at `when` (seconds of `time.monotonic()`), or after one turn of the loop if it is past."""
        if when <= time.monotonic():
            # Those that were due before must get their turn, or a late sender would never catch up.
            await asyncio.sleep(0)
            return
        self._rung.clear()
        seconds, nanoseconds = divmod(int(when * 1e9), 1_000_000_000)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        if self._libc.timerfd_settime(self._timer, TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        await self._rung.wait()

    def _ring(self) -> None:
        try:
            os.read(self._timer, 8)
        except BlockingIOError:  # a stale wake-up, after the timer was armed anew
            return
        self._rung.set()
