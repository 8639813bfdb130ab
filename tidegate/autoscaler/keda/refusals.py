"""Logs which ScaledObjects were refused, in a bounded number: any client can send any names."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tidegate.runtime.event_log import EventLog

ACTION: Final = "keda"
MAX_REFUSED: Final = 8
# An object that is right again, or one of too many, is logged anew after this time.
FORGET_SECONDS: Final = 600.0


@dataclass(slots=True)
class _Refused:
    at: float
    resolved: bool = False


@dataclass(slots=True)
class Refusals:
    """Logs an object when it is refused and when it is accepted, each once.

    Attributes:
        event_log: gets the lines.
        clock: seconds on a monotonic clock.
    """

    event_log: EventLog
    clock: Callable[[], float] = time.monotonic
    _refused: dict[str, _Refused] = field(default_factory=dict, init=False)

    def refused(self, name: str, message: str) -> None:
        """Log that an object is refused, unless it was logged."""
        now = self.clock()
        self._forget(now)
        if name in self._refused:
            return
        if len(self._refused) >= MAX_REFUSED:
            self.event_log.condition(
                ACTION,
                f"{MAX_REFUSED} ScaledObjects were refused within {FORGET_SECONDS / 60:g} min; further ones"
                " are not logged: limit the port to KEDA by a NetworkPolicy or by"
                " autoscaler.external_scaler_client_ca_file",
            )
            return
        self._refused[name] = _Refused(now)
        self.event_log.record(ACTION, message, level="warn")

    def accepted(self, name: str) -> None:
        """Log that an object that was refused is right now."""
        found = self._refused.get(name)
        if found and not found.resolved:
            found.resolved = True
            self.event_log.record(ACTION, f"ScaledObject {name}: resolved")

    def _forget(self, now: float) -> None:
        full = len(self._refused) >= MAX_REFUSED
        for name, one in list(self._refused.items()):
            if (one.resolved or full) and now - one.at >= FORGET_SECONDS:
                del self._refused[name]
