"""What a fitted scikit-learn model says about itself: its parts, features and categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature


def feature_names(model: Any) -> tuple[str, ...]:
    """The feature names that it was fitted with; f0, f1, … without names.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    named = getattr(model, "feature_names_in_", None)
    if named is not None:
        return tuple(str(name) for name in named)
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise ArtefactError(f"{type(model).__name__} does not state its number of features")
    return tuple(f"f{i}" for i in range(count))


def parts_of(model: Any) -> Iterator[Any]:
    """A model and all fitted estimators in it: pipeline steps, transformers, ensemble members."""
    yield model
    candidates: list[Any] = []
    for attribute in ("steps", "transformers_", "estimators_", "calibrated_classifiers_"):
        candidates += list(np.ravel(np.array(getattr(model, attribute, []), dtype=object)))
    candidates += [
        getattr(model, name, None)
        for name in ("estimator", "estimator_", "best_estimator_", "regressor_")
    ]
    for part in candidates:
        if hasattr(part, "get_params"):
            yield from parts_of(part)


def takes_named_columns(model: Any) -> bool:
    """Whether it selects columns by name, so that it needs a table instead of a matrix."""
    return any(
        isinstance(column, str)
        for part in parts_of(model)
        for _, _, columns in getattr(part, "transformers_", [])
        if not isinstance(columns, slice)
        for column in np.ravel(columns)
    )


def learned_categories(model: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The categories that its encoders learned, by column name."""
    for part in parts_of(model):
        for _, transformer, columns in getattr(part, "transformers_", []):
            encoders = [step for step in parts_of(transformer) if hasattr(step, "categories_")]
            if not encoders:
                continue
            names = [columns] if isinstance(columns, str) else list(columns)
            for name, values in zip(names, encoders[0].categories_, strict=True):
                if any(isinstance(value, str) for value in values):
                    yield str(name), tuple(str(v) for v in values if isinstance(v, str))


def features_of(model: Any) -> tuple[Feature, ...]:
    """Its features, with the categories that its encoders learned.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    categories = dict(learned_categories(model))
    return tuple(
        Feature(name=name, kind="category", categories=categories[name])
        if name in categories
        else Feature(name=name)
        for name in feature_names(model)
    )


def spread_of(model: Any, width: int) -> tuple[Any, Any] | None:
    """The mean and the standard deviation of each feature, if a part scales all of them; else None."""
    for part in parts_of(model):
        if getattr(part, "mean_", np.empty(0)).shape == (width,) and hasattr(part, "scale_"):
            return part.mean_, part.scale_
    return None
