"""What a fitted scikit-learn model tells of its parts, and of the columns that they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature


def _feature_names(model: Any) -> tuple[str, ...]:
    """The feature names that it was fitted with; f0, f1, … without names.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    # CatBoost has no other names, and a loaded one no number of features.
    named = getattr(model, "feature_names_in_", getattr(model, "feature_names_", None))
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
    for attribute in ("steps", "transformers_", "estimators_"):
        candidates += list(np.ravel(np.array(getattr(model, attribute, []), dtype=object)))
    candidates += [
        getattr(model, name, None)
        for name in ("estimator", "estimator_", "best_estimator_", "regressor_", "_preprocessor")
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


def _columns_of(model: Any) -> Iterator[tuple[list[str], Any]]:
    """The features that each transformer of columns takes, and the transformer."""
    for part in parts_of(model):
        if hasattr(part, "transformers_") and part.n_features_in_ == model.n_features_in_:
            names = np.array(_feature_names(model), dtype=object)
            for name, transformer, _ in part.transformers_:
                # Columns may be given as names, positions, a slice or a mask.
                yield names[part._transformer_to_input_indices[name]].tolist(), transformer  # noqa: SLF001


def _learned_categories(model: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """What its encoders learned, by column name: strings, or the ends of whole numbers without a gap.

    An encoder that refuses other numbers is tried with the first of those that it learned.
    """
    for names, transformer in _columns_of(model):
        encoders = [step for step in parts_of(transformer) if hasattr(step, "categories_")]
        for name, values in zip(names, encoders[0].categories_ if encoders else (), strict=False):
            known = [value for value in values if value is not None and value == value]  # noqa: PLR0124
            if texts := tuple(value for value in known if isinstance(value, str)):
                missing = len(known) < len(values)
                yield name, {"kind": "category", "categories": texts, "missing": missing}
                continue
            if isinstance(known[0], np.bool_ | bool):
                yield name, {"kind": "boolean"}
                continue
            ends = {"minimum": float(known[0]), "maximum": float(known[-1])}
            if np.array_equal(values, np.arange(known[0], known[0] + len(values))):
                yield name, {"kind": "integer", **ends}
            elif getattr(encoders[0], "handle_unknown", "") == "error":
                yield name, {"example": float(known[0]), **ends}


def where_missing_is_none(model: Any) -> Iterator[str]:
    """The columns whose missing values are None: a step that has learned None does not know NaN."""
    for names, transformer in _columns_of(model):
        for step in parts_of(transformer):
            if getattr(step, "missing_values", "") is None:
                yield from names
            for name, values in zip(names, getattr(step, "categories_", ()), strict=False):
                if any(value is None for value in values):
                    yield name


def features_of(model: Any, schema: ModelSchema) -> tuple[Feature, ...]:
    """Its features, with the categories that its encoders learned, and texts.

    Raises:
        ArtefactError: it does not state its number of features.
    """
    if is_text(model):
        return (Feature(name="text", kind="text"),)
    learned = dict(_learned_categories(model))
    for names, transformer in _columns_of(model):
        if is_text(transformer):
            learned |= {name: {"kind": "text"} for name in names}
    first = model.steps[0][1] if isinstance(getattr(model, "steps", None), list) else model
    selects = hasattr(first, "transformers_") and hasattr(first, "feature_names_in_")
    dropped = {
        name
        for names, transformer in (_columns_of(first) if selects else ())
        if transformer == "drop"
        for name in names
    }
    features = tuple(
        Feature(name=name, **learned.get(name, {}))
        for name in _feature_names(model)
        if name not in dropped
    )
    said = {
        feature.name: feature
        for feature in schema.features
        if feature.categories or feature.kind == "text"
    }
    return tuple(
        each.model_copy(update=said[each.name].changes()) if each.name in said else each
        for each in features
    )


def is_text(model: Any) -> bool:
    """Whether it takes a list of texts: its first step divides them into words, or hashes these."""
    steps = getattr(model, "steps", None)
    return hasattr(steps[0][1] if steps else model, "build_analyzer")


def spread_of(model: Any, features: Sequence[Feature]) -> tuple[Any, Any] | None:
    """The mean and the standard deviation of each feature that a part scales, 0 and 1 of others.

    None if no part scales any.
    """
    names = [feature.name for feature in features]
    mean, scale = np.zeros(len(names)), np.ones(len(names))
    picked = [(names, part) for part in parts_of(model)] + [
        (columns, step)
        for columns, transformer in _columns_of(model)
        for step in parts_of(transformer)
    ]
    scaled = False
    for columns, step in picked:
        found: Any = getattr(step, "mean_", None)
        if getattr(step, "scale_", None) is None or np.shape(found) != (len(columns),):
            continue
        at = [names.index(name) for name in columns]
        mean[at], scale[at], scaled = found, step.scale_, True
    return (mean, scale) if scaled else None
