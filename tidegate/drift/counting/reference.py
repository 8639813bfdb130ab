"""The reference: how features, answers and confidence were distributed when the model was trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

UNDER: Final = "under"
OVER: Final = "over"
MISSING: Final = "missing"
OTHER: Final = "other"

Counts = npt.NDArray[np.int64]


class BadReferenceError(ValueError):
    """A reference that does not read or does not fit its model; the text names the file."""


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

    @property
    def labels(self) -> tuple[str, ...]:
        """The bins' names, no two alike: a category may itself be called `other` or `missing`."""
        if self.kind != "category":
            return self.bins
        *kept, other, missing = self.bins
        return (
            *(f"={name}" if name in {other, missing} else name for name in kept),
            other,
            missing,
        )


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
    predictions: tuple[int, ...] = ()
    """Rows that the model gave each of its classes to, in the classes' order; rows it had not learned from
    where there are some."""


def load_reference(file: Path) -> Reference:
    """Read a `reference.json`.

    Raises:
        BadReferenceError: it is missing or does not read.
    """
    try:
        return Reference.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadReferenceError(f"{file} does not read: {error}") from error


def smoothed_ratios(counts: Sequence[int] | Counts) -> npt.NDArray[np.float64]:
    """Shares of the bins, (count + ½) / (n + B/2): Jeffreys' prior, under which no bin is impossible."""
    held = np.asarray(counts, dtype=np.float64)
    ratios: npt.NDArray[np.float64] = (held + 0.5) / (held.sum() + len(held) / 2)
    return ratios


def count_numbers(edges: Sequence[float], values: npt.NDArray[np.floating[Any]]) -> Counts:
    """How many values lie under the edges, in each bin, over the edges, and are missing."""
    missing = np.isnan(values)
    if not edges:
        return np.array([0, (~missing).sum(), missing.sum()])
    bounds = np.array(edges)
    present = values[~missing].astype(np.float64)
    places = np.searchsorted(bounds, present, side="right")
    places[present == bounds[-1]] = len(bounds) - 1
    return np.append(np.bincount(places, minlength=len(bounds) + 1), missing.sum())
