"""Quantiles of histograms, for signals that come from no query of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def histogram_quantile(
    share: float, edges: Iterable[float], cumulative: Sequence[float]
) -> float | None:
    """As in Prometheus: linear within the bucket that holds the rank.

    Args:
        share: the quantile, in [0, 1].
        edges: upper edges of the finite buckets, ascending.
        cumulative: observations up to each edge, and in the last place all of them.

    Returns:
        The quantile, in the unit of the edges; None without observations.
    """
    total = cumulative[-1] if len(cumulative) else 0
    if not total:
        return None
    rank = share * total
    lower = below = 0.0
    for edge, count in zip(edges, cumulative, strict=False):  # the last place has no edge
        if count >= rank:
            return float(lower + (edge - lower) * ((rank - below) / max(count - below, 1)))
        lower, below = edge, count
    return float(lower)
