"""Conversion from scikit-learn to ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.preprocessing import StandardScaler

from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.matrix import MATRIX_INPUT

Class: TypeAlias = str | int

ESTIMATOR_OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
"""What the converters of LightGBM and XGBoost write; for a pipeline skl2onnx would choose newer ones."""


def convert(
    model: Any, features: Sequence[Feature], *, columns: bool = False, foreign: bool = False
) -> bytes:
    """The content of an ONNX file of a fitted classifier or regressor.

    It takes named `columns` instead of a matrix if the model does; `foreign` are estimators of other packages
    in it, whose converters are registered.

    Raises:
        ArtefactError: skl2onnx cannot convert it.
    """
    options: dict[Any, dict[str, Any]] = {}
    if hasattr(model, "predict_proba"):
        options[id(model)] = {"zipmap": False}
    if foreign:
        # The thresholds of boosted trees are training values: one that a scaler rounds otherwise takes the
        # other branch. Subtraction and division round as scikit-learn does, multiplication does not.
        options[StandardScaler] = {"div": "div"}
    with conversion_errors(type(model).__name__), _whole_numbers():
        converted = to_onnx(
            model,
            initial_types=_inputs(features, columns=columns),
            options=options,
            target_opset=ESTIMATOR_OPSETS if foreign else None,
        )
        graph: bytes = converted.SerializeToString()
    return graph


@contextmanager
def conversion_errors(name: str) -> Iterator[None]:
    """Refuse the model of this name if its converter fails."""
    try:
        yield
    # The exceptions of the converters have no common base class.
    except Exception as error:
        reason = str(error)[:300]  # some contain the whole model
        raise ArtefactError(f"{name} cannot be converted to ONNX: {reason}") from error


def classes_of(classifier: Any) -> tuple[Class, ...]:
    """A classifier's classes as JSON values, in the order of its probabilities.

    Raises:
        ArtefactError: it is not a classifier with probabilities, has one class, or its classes are neither
            strings nor integers.
    """
    if not hasattr(classifier, "classes_") or not hasattr(classifier, "predict_proba"):
        raise ArtefactError(
            f"{type(classifier).__name__} is not a fitted classifier with predict_proba; one without "
            "probabilities can be wrapped in CalibratedClassifierCV"
        )
    names = class_names(classifier.classes_)
    if len(names) < 2:
        raise ArtefactError(f"{type(classifier).__name__} was fitted on rows of one class")
    return names


def class_names(values: Iterable[object]) -> tuple[Class, ...]:
    """Classes as JSON values.

    Raises:
        ArtefactError: one is neither a string nor an integer.
    """
    classes: list[Class] = []
    for value in np.asarray(values).tolist():
        if isinstance(value, str):
            classes.append(value)
        elif isinstance(value, int | float) and value == int(value):
            classes.append(int(value))
        else:
            raise ArtefactError(f"class {value!r} is neither a string nor an integer")
    return tuple(classes)


def as_table(features: Sequence[Feature], matrix: Matrix) -> pd.DataFrame:
    """A matrix as a table with named columns."""
    table = pd.DataFrame(matrix, columns=[feature.name for feature in features])
    for feature in features:
        if feature.kind == "category":
            names = np.array(feature.categories, dtype=object)
            table[feature.name] = names[table[feature.name].to_numpy(dtype=np.intp)]
    return table


@contextmanager
def _whole_numbers() -> Iterator[None]:
    """Let skl2onnx convert HistGradientBoosting models.

    Its 1.20 puts Python's False among a node's whole numbers, which onnx refuses from 1.23 on.
    """
    add_node = tree_ensemble.add_node

    def add_whole(*args: Any, nodes_missing_value_tracks_true: Any = 0, **named: Any) -> Any:
        tracks = int(nodes_missing_value_tracks_true)
        return add_node(*args, nodes_missing_value_tracks_true=tracks, **named)

    tree_ensemble.add_node = add_whole
    try:
        yield
    finally:
        tree_ensemble.add_node = add_node


def _inputs(features: Sequence[Feature], *, columns: bool) -> list[tuple[str, Any]]:
    if not columns:
        return [(MATRIX_INPUT, FloatTensorType([None, len(features)]))]
    return [
        (
            feature.name,
            StringTensorType([None, 1])
            if feature.kind == "category"
            else FloatTensorType([None, 1]),
        )
        for feature in features
    ]
