"""The bins of a category given as text: its most frequent values, one for the others and one for missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from tidegate.monitoring.counting.reference import MISSING, OTHER, FeatureReference

MOST_FREQUENT: Final = 20


def category_bins(
    name: str, texts: Sequence[str | None], also: Sequence[str | None] = ()
) -> FeatureReference:
    """The bins of a category, and the values in each, of which None is missing.

    The values in `also` get a bin where there is room, without being counted.
    """
    counts = Counter(texts)
    missing = counts.pop(None, 0)
    for text in also:
        if text is not None:
            counts.setdefault(text, 0)
    included = dict(sorted(counts.most_common(MOST_FREQUENT)))
    others = counts.total() - sum(included.values())
    return FeatureReference(
        name=name,
        kind="category",
        bins=(*included, OTHER, MISSING),
        counts=(*included.values(), others, missing),
    )
