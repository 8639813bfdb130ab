"""The reference: how the features were distributed in training, as bins to count into later.

A number's bins lie between the deciles of its training values, with one below, one above and one for
missing values. A value that many rows share (no rain at all) has a bin of its own. A category's bins are its
commonest values, one for the others and one for missing values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from service.features import Feature, Matrix

COMMONEST: Final = 20
UNDER: Final = "under"
OVER: Final = "over"
MISSING: Final = "missing"
OTHER: Final = "other"


class FeatureReference(BaseModel):
    """The bins of one feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str
    edges: tuple[float, ...] = ()
    """A number's bin edges. A bin holds edge ≤ value < next edge; the last one holds its upper edge too."""
    bins: tuple[str, ...]
    """The bins' names, in the order of `counts`."""
    counts: tuple[int, ...]
    """Training rows in each bin."""


class Calibration(BaseModel):
    """How often the label is right, given its probability: straight lines between these points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: tuple[float, ...]
    correct: tuple[float, ...]
    samples: int
    """Held-out rows it was made from."""


class Reference(BaseModel):
    """What `reference.json` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    samples: int
    """Training rows that were counted."""
    features: tuple[FeatureReference, ...]
    calibration: Calibration | None = None


def build_reference(
    features: Sequence[Feature], matrix: Matrix, calibration: Calibration | None = None
) -> Reference:
    """Count the training rows into bins made from them."""
    return Reference(
        samples=len(matrix),
        features=tuple(_reference(*pair) for pair in zip(features, matrix.T, strict=True)),
        calibration=calibration,
    )


def edges_of(values: npt.NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """Bin edges at the deciles of finite values; a value at two deciles or more gets its own bin."""
    if not values.size:
        return ()
    deciles = np.quantile(values, np.linspace(0, 1, 11), method="lower").astype(np.float64)
    edges, times = np.unique(deciles, return_counts=True)
    shared = np.nextafter(edges[times > 1], np.inf)
    return tuple(np.unique(np.concatenate([edges, shared])).tolist())


def count_numbers(
    edges: Sequence[float], values: npt.NDArray[np.floating[Any]]
) -> npt.NDArray[np.int64]:
    """How many values lie under the edges, in each bin, over the edges, and are missing."""
    missing = np.isnan(values)
    if not edges:
        return np.array([0, (~missing).sum(), missing.sum()])
    bounds = np.array(edges)
    present = values[~missing].astype(np.float64)
    places = np.searchsorted(bounds, present, side="right")
    places[present == bounds[-1]] = len(bounds) - 1
    return np.append(np.bincount(places, minlength=len(bounds) + 1), missing.sum())


def _reference(feature: Feature, column: npt.NDArray[np.float32]) -> FeatureReference:
    if feature.kind == "category":
        return _category_reference(feature, column)
    edges = edges_of(column[~np.isnan(column)])
    counts = count_numbers(edges, column)
    names = (UNDER, *(str(i) for i in range(max(0, len(edges) - 1))), OVER, MISSING)
    return FeatureReference(
        name=feature.name,
        kind=feature.kind,
        edges=edges,
        bins=names,
        counts=tuple(counts.tolist()),
    )


def _category_reference(feature: Feature, column: npt.NDArray[np.float32]) -> FeatureReference:
    missing = np.isnan(column)
    counts = np.bincount(column[~missing].astype(np.intp), minlength=len(feature.categories))
    commonest = np.sort(np.argsort(-counts, kind="stable")[:COMMONEST])
    kept = counts[commonest]
    return FeatureReference(
        name=feature.name,
        kind=feature.kind,
        bins=(*(feature.categories[i] for i in commonest), OTHER, MISSING),
        counts=(*kept.tolist(), int(counts.sum() - kept.sum()), int(missing.sum())),
    )
