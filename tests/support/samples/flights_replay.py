"""The features and rows of a small model for the replay of a year, and the times at which they are sent."""

from __future__ import annotations

import numpy as np

from tidegate.service.model.features import Feature

FEATURES = (
    Feature(name="x"),
    Feature(name="carrier", kind="category", categories=("AA", "UA")),
)
CATEGORIES = [feature.categories for feature in FEATURES]
ROWS = 1500
BATCH = 50
START = 600_000.0
"""A multiple of the length of the rules' tiles."""


def rows(
    mean: float, seed: int, count: int = ROWS
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    random = np.random.default_rng(seed)
    x = random.normal(mean, size=count)
    return np.stack([x, random.integers(0, 2, count)], axis=1).astype("f4")
