"""Concept drift: whether the model errs at another rate than before, told from one label after the other."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

try:
    # What `river.drift.ADWIN` wraps, without the 140 MB of pandas, SciPy and scikit-learn that come with it.
    from river._river_rust.drift import AdaptiveWindowing
except ImportError:  # another release of river has it elsewhere
    from river.drift.adwin import AdaptiveWindowing  # type: ignore[attr-defined]

NEWEST: Final = 300
DELTA: Final = 0.01
"""ADWIN's: the largest tried at which 72 hours of steady labels mostly show nothing (bench/concept.py)."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a detector found.

    Attributes:
        before: the error rate it was compared with.
        after: the error rate now.
    """

    before: float
    after: float


class Detector(Protocol):
    """Reads outcomes in their order."""

    name: str

    @property
    def error_rate(self) -> float:
        """The error rate as it sees it now; NaN if it knows none."""
        ...

    def update(self, wrong: bool) -> Change | None:
        """Take in one outcome; a change, if it finds one with it."""
        ...


class ZTest:
    """The newest labels' error rate e against a known one: z = (e - e₀) / √(e₀(1 - e₀) / n).

    It finds a rise once, and again only after z has fallen below half the limit. With n = 300 and z > 4.5, a
    rise from 10 to 20 % is found once 18 % of the labels are wrong: after 230 in the middle.

    Args:
        expected: e₀, the error rate on held-out rows.
        limit: z above which it is no chance.
        newest: n, how many labels are looked at.
    """

    name = "z"

    def __init__(self, expected: float, *, limit: float = 4.5, newest: int = NEWEST) -> None:
        # A model that never erred on held-out rows still may once in a while.
        self._expected = min(max(expected, 0.5 / newest), 1 - 0.5 / newest)
        self._limit = limit
        self._held: deque[bool] = deque(maxlen=newest)
        self._wrong = 0
        self._found = False

    @property
    def error_rate(self) -> float:
        """Of the newest labels."""
        return self._wrong / len(self._held) if self._held else math.nan

    @property
    def z(self) -> float:
        """Standard deviations above the expected rate; 0 until there are enough labels."""
        if len(self._held) < (self._held.maxlen or 0):
            return 0.0
        variance = self._expected * (1 - self._expected) / len(self._held)
        return (self.error_rate - self._expected) / math.sqrt(variance)

    def update(self, wrong: bool) -> Change | None:
        """Take in one outcome."""
        if len(self._held) == self._held.maxlen:
            self._wrong -= self._held[0]
        self._held.append(wrong)
        self._wrong += wrong
        z = self.z
        if z > self._limit and not self._found:
            self._found = True
            return Change(self._expected, self.error_rate)
        if z < self._limit / 2:
            self._found = False
        return None


class Adwin:
    """ADWIN (Bifet and Gavaldà, 2007): a window that drops its older part once the newer one differs.

    It needs no reference and finds slow changes and those for the better as well. Of river's detectors it did
    best without being tuned to the rates (bench/concept.py).

    Args:
        delta: the confidence asked for; the smaller, the fewer false findings and the later true ones.
    """

    name = "adwin"

    def __init__(self, delta: float = DELTA) -> None:
        self._delta = delta
        self._window = self._begin()
        self._found = False

    @property
    def error_rate(self) -> float:
        """Over its window."""
        width = self._window.get_width()
        return float(self._window.get_total() / width) if width else math.nan

    def update(self, wrong: bool) -> Change | None:
        """Take in one outcome."""
        if self._found:
            self._window = self._begin()
        before = self.error_rate
        self._found = bool(self._window.update(float(wrong)))
        return Change(before, self.error_rate) if self._found else None

    def _begin(self) -> Any:
        """One as river's ADWIN makes it, which does so anew after each finding."""
        return AdaptiveWindowing(
            delta=self._delta, clock=32, max_buckets=5, min_window_length=5, grace_period=10
        )
