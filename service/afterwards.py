"""Work that follows an answer: in one thread of low priority, from a line of bounded length.

Nobody waits for it. What comes when the line is full is dropped and counted: a request that was answered is
never paid for by the next one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Final

from tidegate.telemetry import get_logger

LENGTH: Final = 128
CLOSE_SECONDS: Final = 2.0
NICENESS: Final = 10
"""So that a core that is short is the requests' first."""

Work = Callable[[], None]
log = get_logger("service.afterwards")


class Afterwards:
    """The line and its thread, which starts with the first work.

    Args:
        length: how much may wait.
    """

    def __init__(self, length: int = LENGTH) -> None:
        self._line: Queue[Work | None] = Queue(length)
        self._thread: threading.Thread | None = None
        self._failed = False

    def offer(self, work: Work) -> bool:
        """Have it done later; False if the line is full. Never waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="afterwards", daemon=True)
            self._thread.start()
        try:
            self._line.put_nowait(work)
        except Full:
            return False
        return True

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Do what is in the line, for so long at most."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        while True:
            try:
                self._line.put_nowait(None)
                break
            except Full:  # no time for all of it: the oldest gives its place up
                with suppress(Empty):
                    self._line.get_nowait()
        thread.join(seconds)

    def _run(self) -> None:
        with suppress(OSError):  # of this thread alone, on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (work := self._line.get()) is not None:
            try:
                work()
            except Exception:  # whatever it is, the next work shall be done
                if not self._failed:  # once: it may be each request
                    log.exception("work after an answer failed")
                self._failed = True
