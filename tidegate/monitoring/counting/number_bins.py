"""The bins of numbers: between the deciles of the values at training, with one below, one above, one missing.

A value that many rows share (zero rain) has a bin of its own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import (
    MISSING,
    OVER,
    UNDER,
    FeatureReference,
    count_numbers,
)

PREDICTION: Final = "prediction"
"""The name of the reference of predicted values."""

Values = npt.NDArray[np.floating[Any]]


def edges_of(values: Values) -> tuple[float, ...]:
    """Bin edges at the deciles of finite values; a value of two deciles or more gets its own bin."""
    if not values.size:
        return ()
    deciles = np.quantile(values, np.linspace(0, 1, 11), method="lower").astype(np.float64)
    edges, times = np.unique(deciles, return_counts=True)
    shared = edges[times > 1]
    # The largest float has no next one: its bin begins at the float before it.
    other = np.where(shared < np.finfo(np.float64).max, np.inf, -np.inf)
    return tuple(np.unique(np.concatenate([edges, np.nextafter(shared, other)])).tolist())


def number_bins(name: str, values: Values, *, kind: str = "number") -> FeatureReference:
    """The bins of a number or integer, and the values in each, of which NaN is missing."""
    edges = edges_of(values[~np.isnan(values)])
    names = (UNDER, *(str(i) for i in range(max(0, len(edges) - 1))), OVER, MISSING)
    counts = count_numbers(edges, values)
    return FeatureReference(
        name=name, kind=kind, edges=edges, bins=names, counts=tuple(counts.tolist())
    )


def predicted_value_bins(values: Values) -> FeatureReference:
    """The bins of the values that a regressor predicts. Their names are their ranges, such as `3.5 to 4`.

    The name of a bin is the label of `tidegate_predictions_total`, which a person reads; that of a value that
    many rows share is the value. A value that is not finite counts as missing.
    """
    bins = number_bins(PREDICTION, np.where(np.isfinite(values), values, np.nan))
    if not bins.edges:
        return bins
    return bins.model_copy(update={"bins": bins.ranges})
