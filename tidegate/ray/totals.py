"""Sums of the replicas' cumulative counters, and what they have grown by within a window."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HISTORY_SECONDS: Final = 75.0
"""The longest window is a minute; at a tick of 5 s a sample at its beginning may be up to 5 s older."""

Counters = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Growth:
    """What the counters have grown by."""

    seconds: float
    by: Counters

    def rate(self, counter: str) -> float:
        """By how much it grew a second; 0 for one that is unknown."""
        return self.by.get(counter, 0.0) / self.seconds


@dataclass(slots=True)
class Totals:
    """The sums over all replicas that have ever been seen, and their recent history.

    A replica that is new since the first observation began at 0 after it. One that has ended has counted what
    it had at its last observation. A counter that goes back has started anew.
    """

    _last: dict[str, dict[str, float]] = field(default_factory=dict)
    _sums: dict[str, float] = field(default_factory=dict)
    _history: deque[tuple[float, dict[str, float]]] = field(default_factory=deque)

    def observe(
        self, now: float, replicas: Mapping[str, Counters], levels: Counters | None = None
    ) -> None:
        """Add the counters of the present replicas.

        Args:
            now: the time in seconds, on a clock that does not go back.
            replicas: the counters by replica; values that are not finite or negative are ignored.
            levels: by counter, what has to be added to its sum at this moment, and may fall.
        """
        first = not self._history
        for replica, counters in replicas.items():
            known = self._last.setdefault(replica, {})
            for name, value in counters.items():
                if not math.isfinite(value) or value < 0:
                    continue
                before = value if first else known.get(name, 0.0)
                grown = value - before if value >= before else value
                self._sums[name] = self._sums.get(name, 0.0) + grown
                known[name] = value
        sums = dict(self._sums)
        for name, level in (levels or {}).items():
            sums[name] = sums.get(name, 0.0) + level
        self._history.append((now, sums))
        while self._history[0][0] < now - HISTORY_SECONDS:
            self._history.popleft()

    def forget_ended(self, running: frozenset[str]) -> None:
        """Drop what is known of replicas that no longer run; their part of the sums stays."""
        self._last = {name: known for name, known in self._last.items() if name in running}

    def growth(self, window_seconds: float) -> Growth | None:
        """The growth over at least a window, or over all of a shorter history; None without any history."""
        if len(self._history) < 2:
            return None
        now, latest = self._history[-1]
        start, earlier = self._history[0]
        for at, sums in self._history:
            if at > now - window_seconds:
                break
            start, earlier = at, sums
        if not now > start:
            return None
        return Growth(
            now - start,
            {name: max(0.0, value - earlier.get(name, 0.0)) for name, value in latest.items()},
        )
