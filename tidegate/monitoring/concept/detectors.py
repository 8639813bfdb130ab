"""Detectors of concept drift, which read labels one by one and find changes of the error rate."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

try:
    # What `river.drift.ADWIN` wraps, without importing 140 MB of pandas, SciPy and scikit-learn.
    from river._river_rust.drift import AdaptiveWindowing
except ImportError:  # its module in other releases of river
    from river.drift.adwin import AdaptiveWindowing  # type: ignore[attr-defined]

WINDOW_LABELS: Final = 300
DELTA: Final = 0.01
"""ADWIN's; the largest tried value with mostly no finding in 72 hours of stable labels (3 a second)."""


@dataclass(frozen=True, slots=True)
class Change:
    """The error rates before and after a change that a detector found."""

    before: float
    after: float


class Detector(Protocol):
    """Reads outcomes in order."""

    name: str

    @property
    def error_rate(self) -> float:
        """The detector's current error rate; NaN before the first label."""
        ...

    def update(self, wrong: bool) -> Change | None:
        """Read one outcome; return the change that it shows, if any."""
        ...


class ZTest:
    """Compares the error rate e of the n newest labels (`window`) with one that is expected, e₀.

    z = (e - e₀) / √(e₀(1 - e₀) / n) above the limit is a finding. A rise is found once, and the next one only
    after z has fallen below half the limit. With n = 300 and z > 4.5, a rise from 10 to 20 % is found once
    18 % of the labels are wrong: after 230 labels in the median.
    """

    name = "z"

    def __init__(self, expected: float, *, limit: float = 4.5, window: int = WINDOW_LABELS) -> None:
        # Even a model without an error on held-out rows may have some.
        self._expected = min(max(expected, 0.5 / window), 1 - 0.5 / window)
        self._limit = limit
        self._newest: deque[bool] = deque(maxlen=window)
        self._wrong = 0
        self._found = False

    @property
    def error_rate(self) -> float:
        """The error rate of the newest labels."""
        return self._wrong / len(self._newest) if self._newest else math.nan

    @property
    def z(self) -> float:
        """Standard deviations above the expected rate; 0 until the window is full."""
        if len(self._newest) < (self._newest.maxlen or 0):
            return 0.0
        variance = self._expected * (1 - self._expected) / len(self._newest)
        return (self.error_rate - self._expected) / math.sqrt(variance)

    def update(self, wrong: bool) -> Change | None:
        """Read one outcome."""
        if len(self._newest) == self._newest.maxlen:
            self._wrong -= self._newest[0]
        self._newest.append(wrong)
        self._wrong += wrong
        z = self.z
        if z > self._limit and not self._found:
            self._found = True
            return Change(self._expected, self.error_rate)
        if z < self._limit / 2:
            self._found = False
        return None


class Adwin:
    """ADWIN (Bifet and Gavaldà, 2007): a window that drops its older part once the newer part differs.

    It needs no reference, and also finds slow changes and improvements. Of river's detectors it was the best
    without being tuned to the error rates: one that doubles from 10 % is found after 272 labels (median). A
    smaller `delta`, its confidence, gives fewer false findings and later true ones.
    """

    name = "adwin"

    def __init__(self, delta: float = DELTA) -> None:
        self._delta = delta
        self._window = self._new_window()
        self._found = False

    @property
    def error_rate(self) -> float:
        """The error rate over the window."""
        width = self._window.get_width()
        return float(self._window.get_total() / width) if width else math.nan

    def update(self, wrong: bool) -> Change | None:
        """Read one outcome."""
        if self._found:
            self._window = self._new_window()
        before = self.error_rate
        self._found = bool(self._window.update(float(wrong)))
        return Change(before, self.error_rate) if self._found else None

    def _new_window(self) -> Any:
        """A window with the parameters of river's ADWIN, which also creates one after each finding."""
        return AdaptiveWindowing(
            delta=self._delta, clock=32, max_buckets=5, min_window_length=5, grace_period=10
        )
