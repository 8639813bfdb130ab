"""Segments: values of selected features in the event of a request, to compare accuracy by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidegate.service.model.features import Feature, Matrix


def segments_of(
    features: Sequence[Feature], names: Sequence[str], matrix: Matrix
) -> dict[str, list[str | None]]:
    """The values of the named features, one per row; None if missing.

    Only features of kind category have segments; other names are ignored.

    Args:
        features: the features of the model, in the order of the matrix.
        names: the names to include.
        matrix: the rows of one request.
    """
    return {
        feature.name: [
            None if np.isnan(code) else feature.categories[int(code)] for code in matrix[:, place]
        ]
        for place, feature in enumerate(features)
        if feature.name in names and feature.kind == "category"
    }
