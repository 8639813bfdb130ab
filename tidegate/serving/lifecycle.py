"""The phase of a replica: whether it loads, serves, drains, or has failed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["loading", "ready", "draining", "failed"]


class Lifecycle:
    """The phase of one replica, and what it still waits for before it is ready.

    A replica is `loading` while any of its tasks is pending, and `ready` afterwards. `draining` and `failed`
    are final. It belongs to one event loop: other threads may read it, and must not change it.
    """

    def __init__(self) -> None:
        self._phase: Phase = "loading"
        self._reason = ""
        self._pending: list[str] = []
        self._on_failure: list[Callable[[], None]] = []
        self.on_ready: list[Callable[[], None]] = []
        """Functions to call once, when the replica is ready for the first time."""
        self._problem: Callable[[], str] = str

    @property
    def phase(self) -> Phase:
        """`loading`, `ready`, `draining` or `failed`."""
        return "loading" if self._phase == "ready" and self._problem() else self._phase

    @property
    def draining(self) -> bool:
        """Whether it drains; cheaper than to compare the phase."""
        return self._phase == "draining"

    @property
    def reason(self) -> str:
        """Why it failed, or what it still waits for; empty if there is nothing to say."""
        if self._phase == "loading" and self._pending:
            return f"waiting for {', '.join(self._pending)}"
        return self._reason or self._problem()

    def watch(self, problem: Callable[[], str]) -> None:
        """Ask a function why the replica cannot serve now; it is `loading` while the answer is not empty.

        It is called for each check of `/ready`, so it must return at once.
        """
        self._problem = problem

    def on_failure(self, callback: Callable[[], None]) -> None:
        """Call a function once when the replica fails."""
        self._on_failure.append(callback)

    def begin(self, task: str) -> None:
        """Add a task that must end before the replica is ready; the name is for people."""
        self._pending.append(task)
        if self._phase == "ready":
            self._phase = "loading"

    def end(self, task: str) -> None:
        """End a task. With the last one, the replica becomes ready.

        Raises:
            ValueError: no such task is pending.
        """
        self._pending.remove(task)
        if not self._pending and self._phase == "loading":
            _return_freed_memory()
            self._phase = "ready"
            while self.on_ready:
                self.on_ready.pop()()

    def fail(self, reason: str) -> None:
        """The replica cannot serve: it stops with this reason. A replica that drains goes on draining."""
        if self._phase in ("loading", "ready"):
            self._phase, self._reason = "failed", reason
            for callback in self._on_failure:
                callback()

    def drain(self) -> None:
        """Stop being ready. Requests that still arrive are served."""
        if self._phase != "failed":
            self._phase = "draining"


def _return_freed_memory() -> None:
    """Give back what the C library keeps of freed memory; of another library than glibc's nothing.

    Loading a model frees much of what it took, in pieces: of the 85 MB of the flights' graph 55 (2026-11-29).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
