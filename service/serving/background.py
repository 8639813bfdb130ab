"""Background work after a response: in one thread of low priority, from a queue of bounded length.

Work that arrives when the queue is full is refused, so that it never delays a request.
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
"""Requests have priority when the CPU is short."""

Work = Callable[[], None]
log = get_logger("tidegate.service.serving.background")


class BackgroundWorker:
    """The queue of at most `length` tasks, and its thread, which starts with the first one."""

    def __init__(self, length: int = LENGTH) -> None:
        self._queue: Queue[Work | None] = Queue(length)
        self._thread: threading.Thread | None = None
        self._failed = False

    def offer(self, work: Work) -> bool:
        """Queue work; False if the queue is full. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="background", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(work)
        except Full:
            return False
        return True

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Finish the queued work, within `seconds`."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except Full:  # drop the oldest work for the end marker
                with suppress(Empty):
                    self._queue.get_nowait()
        thread.join(seconds)

    def _run(self) -> None:
        with suppress(OSError):  # the priority of this thread alone, on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:  # it must not stop the next work
                if not self._failed:  # log once: it may fail for each request
                    log.exception("work after a response failed")
                self._failed = True
