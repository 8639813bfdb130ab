"""Segments: values of a few named features in a request's event, by which accuracy can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.features import Feature, Matrix


def segments_of(
    features: Sequence[Feature], names: Sequence[str], matrix: Matrix
) -> dict[str, list[str | None]]:
    """The values of the named features, one a row; None where one is missing.

    Only features of the category kind have segments: other names are passed over.

    Args:
        features: the model's, in the matrix's order.
        names: those wanted.
        matrix: the rows of one request.
    """
    return {
        feature.name: [
            None if np.isnan(code) else feature.categories[int(code)] for code in matrix[:, place]
        ]
        for place, feature in enumerate(features)
        if feature.name in names and feature.kind == "category"
    }
