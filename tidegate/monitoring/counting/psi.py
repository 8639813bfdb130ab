"""The distance between two distributions over the same bins, and its significance.

The rules in Prometheus compute the same from counters (tidegate/rules/drift_rules.py). The smoothed shares
are those of `smoothed_ratios`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tidegate.monitoring.counting.reference import Counts, smoothed_ratios


def psi(counts: Sequence[int] | Counts, reference: Sequence[int] | Counts) -> float:
    """Population stability index Σ (p - q)·ln(p / q) over smoothed shares; 0 for equal shares.

    Args:
        counts: rows in each bin now.
        reference: rows in each bin at training.
    """
    p, q = smoothed_ratios(counts), smoothed_ratios(reference)
    return float(((p - q) * np.log(p / q)).sum())


def statistic(index: float, samples: float, reference_samples: float) -> float:
    """X² = PSI · n·m / (n + m): without a change, approximately χ² with B - 1 degrees of freedom.

    Yurdakul, B. (2018): Statistical Properties of Population Stability Index, Western Michigan University.

    Args:
        index: the PSI.
        samples: n, the rows now.
        reference_samples: m, the rows at training.
    """
    total = samples + reference_samples
    return index * samples * reference_samples / total if total else 0.0


def critical_value(bins: int, comparisons: int, significance: float) -> float:
    """Without a change, X² exceeds this value in any of the comparisons with probability `significance`.

    The quantile of χ² by the approximation of Wilson and Hilferty (Proceedings of the National Academy of
    Sciences 17, 1931), with Bonferroni's correction. It is too high by 1 % for 12 bins and by 4 % for 3 bins,
    so false findings are rarer than `significance`.

    Args:
        bins: the number of bins of one distribution; at least 2.
        comparisons: the number of distributions that are compared at the same time.
        significance: the accepted probability of a false finding, in (0, 1).
    """
    degrees = max(1, bins - 1)
    z = -NormalDist().inv_cdf(significance / max(1, comparisons))
    variance = 2 / (9 * degrees)
    return float(degrees * (1 - variance + z * variance**0.5) ** 3)
