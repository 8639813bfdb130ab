"""How far two distributions over the same bins lie apart, and whether that is more than chance.

The rules in Prometheus compute the same from counters (tidegate/rules/drift_rules.py). The smoothed
shares are those of `smoothed_ratios`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tidegate.drift.counting.reference import Counts, smoothed_ratios


def psi(counts: Sequence[int] | Counts, reference: Sequence[int] | Counts) -> float:
    """Population stability index Σ (p - q)·ln(p / q) over smoothed shares; 0 for equal ones.

    Args:
        counts: rows in each bin now.
        reference: rows in each bin at training.
    """
    p, q = smoothed_ratios(counts), smoothed_ratios(reference)
    return float(((p - q) * np.log(p / q)).sum())


def statistic(index: float, samples: float, reference_samples: float) -> float:
    """X² = PSI · n·m / (n + m): if nothing has changed, about χ² with B - 1 degrees of freedom.

    Yurdakul, B. (2018): Statistical Properties of Population Stability Index, Western Michigan University.

    Args:
        index: the PSI.
        samples: n, the rows now.
        reference_samples: m, the rows at training.
    """
    total = samples + reference_samples
    return index * samples * reference_samples / total if total else 0.0


def critical_value(bins: int, comparisons: int, significance: float) -> float:
    """What X² exceeds with probability `significance` in any of so many comparisons, if nothing has changed.

    χ²'s quantile by Wilson and Hilferty's cube (Proceedings of the National Academy of Sciences 17, 1931), at
    the level that Bonferroni's correction asks for. For 12 bins it lies 1 % above the true one, for 3 bins
    4 %: on the side of silence.

    Args:
        bins: of one distribution; at least 2.
        comparisons: distributions that are compared, each at the same time.
        significance: the chance of a false finding that is accepted, in (0, 1).
    """
    degrees = max(1, bins - 1)
    z = -NormalDist().inv_cdf(significance / max(1, comparisons))
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + z * spread**0.5) ** 3)
