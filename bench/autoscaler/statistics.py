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

import numpy as np
from scipy.stats import t as student  # type: ignore[import-untyped]

LEVEL: Final = 0.95
REDRAWN: Final = 10_000


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


def bootstrapped(parts: Sequence[float], wholes: Sequence[float]) -> Estimate:
    """The same with the interval of a bootstrap: percentiles of the ratio over redrawn pairs.

    Of few draws most have nothing to avoid, and Student's interval would assume that they vary evenly.
    """
    own, other = np.array(parts, float), np.array(wholes, float)
    drawn = np.random.default_rng(0).integers(0, len(own), (REDRAWN, len(own)))
    sums = other[drawn].sum(axis=1)
    ratios = own[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(ratios, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(own.sum() / other.sum()), float(low), float(high))
