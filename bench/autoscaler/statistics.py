"""Means and ratios over seeds, with paired intervals.

All policies get the same requests in a seed, so the values of one seed belong together; the seeds are the
independent samples. Intervals are Student's, two-sided, 95 %. The interval of a ratio of sums is that of the
residuals n - R·d (W. G. Cochran, "Sampling Techniques", 3rd edition, 1977, section 6.3): a mean of ratios
would count a seed in which there is little to avoid as much as any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Final

from scipy.stats import t as student  # type: ignore[import-untyped]

LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval; infinite with one seed."""

    value: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        if not math.isfinite(self.value):
            return "none"
        value = format(self.value, form)
        if not math.isfinite(self.high - self.low):
            return value
        return f"{value} ({self.low:{form}} to {self.high:{form}})"


def ratio_of_sums(parts: Sequence[float], wholes: Sequence[float]) -> Estimate:
    """The sum of the parts over that of the wholes, paired by seed.

    Without wholes it is 1 if there are no parts either, else infinite; no interval then.
    """
    total = fmean(wholes)
    if total <= 0:
        value = 1.0 if fmean(parts) <= 0 else math.inf
        return Estimate(value, -math.inf, math.inf)
    ratio = fmean(parts) / total
    residuals = [(part - ratio * whole) / total for part, whole in zip(parts, wholes, strict=True)]
    count = len(residuals)
    if count < 2:
        return Estimate(ratio, -math.inf, math.inf)
    half = float(student.ppf((1 + LEVEL) / 2, count - 1)) * stdev(residuals) / math.sqrt(count)
    return Estimate(ratio, ratio - half, ratio + half)
