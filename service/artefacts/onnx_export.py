"""Conversion from scikit-learn to ONNX, and the comparison of both models."""

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

from tidegate.service.artefacts.parity import ExportError, Parity, compare_probabilities
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.matrix import MATRIX_INPUT
from tidegate.service.model.onnx_predictor import open_graph
from tidegate.service.model.predictions import Classification
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.signature import Signature

__all__ = ["ExportError", "Parity", "as_table", "classes_of", "compare", "convert", "export"]

Class: TypeAlias = str | int

ESTIMATOR_OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
"""What the converters of LightGBM and XGBoost write; for a pipeline skl2onnx would choose newer ones."""


def export(
    classifier: Any, features: Sequence[Feature], probe: Matrix, *, columns: bool = False
) -> tuple[bytes, Parity]:
    """Convert a fitted classifier and compare both models.

    Args:
        classifier: a fitted scikit-learn classifier or pipeline with `predict_proba`.
        features: the features of the columns of `probe`.
        probe: rows to compare on, preferably held-out ones.
        columns: whether the classifier needs a table with named columns.

    Returns:
        The content of the ONNX file, and the comparison.

    Raises:
        ExportError: skl2onnx cannot convert it, or the predictions differ.
    """
    graph = convert(classifier, features, columns=columns)
    classes = classes_of(classifier)
    signature = Signature(
        input="columns" if columns else "matrix", features=tuple(features), classes=classes
    )
    with _conversion_errors(classifier):
        parity = compare(classifier, open_graph(graph, signature), features, probe)
    parity.check(type(classifier).__name__, tolerated_fraction=0.0)
    return graph, parity


def convert(
    model: Any, features: Sequence[Feature], *, columns: bool = False, foreign: bool = False
) -> bytes:
    """The content of an ONNX file of a fitted classifier or regressor.

    Args:
        model: the model.
        features: its features.
        columns: whether it needs a table with named columns.
        foreign: whether it has estimators of other packages, whose converters are registered.

    Raises:
        ExportError: skl2onnx cannot convert it.
    """
    options: dict[Any, dict[str, Any]] = {}
    if hasattr(model, "predict_proba"):
        options[id(model)] = {"zipmap": False}
    if foreign:
        # The thresholds of boosted trees are training values: one that a scaler rounds otherwise takes the
        # other branch. Subtraction and division round as scikit-learn does, multiplication does not.
        options[StandardScaler] = {"div": "div"}
    with _conversion_errors(model), _whole_numbers():
        converted = to_onnx(
            model,
            initial_types=_inputs(features, columns=columns),
            options=options,
            target_opset=ESTIMATOR_OPSETS if foreign else None,
        )
        graph: bytes = converted.SerializeToString()
    return graph


@contextmanager
def _conversion_errors(model: Any) -> Iterator[None]:
    try:
        yield
    except ExportError:
        raise
    # The exceptions of the converters and of ONNX Runtime have no common base class.
    except Exception as error:
        reason = str(error)[:300]  # some contain the whole model
        raise ExportError(
            f"{type(model).__name__} cannot be converted to ONNX: {reason}"
        ) from error


def classes_of(classifier: Any) -> tuple[Class, ...]:
    """A classifier's classes as JSON values, in the order of its probabilities.

    Raises:
        ExportError: it is not a classifier with probabilities, or its classes are neither strings nor
            integers.
    """
    if not hasattr(classifier, "classes_") or not hasattr(classifier, "predict_proba"):
        raise ExportError(
            f"{type(classifier).__name__} is not a fitted classifier with predict_proba; one without "
            "probabilities can be wrapped in CalibratedClassifierCV"
        )
    return class_names(np.asarray(classifier.classes_).tolist())


def class_names(values: Iterable[object]) -> tuple[Class, ...]:
    """Classes as JSON values.

    Raises:
        ExportError: one is neither a string nor an integer.
    """
    classes: list[Class] = []
    for value in values:
        if isinstance(value, str):
            classes.append(value)
        elif isinstance(value, int | float) and value == int(value):
            classes.append(int(value))
        else:
            raise ExportError(f"class {value!r} is neither a string nor an integer")
    return tuple(classes)


def compare(
    classifier: Any, predictor: Predictor, features: Sequence[Feature], probe: Matrix
) -> Parity:
    """Compare a classifier with its ONNX model.

    Raises:
        TypeError: the ONNX model is not a classifier.
    """
    found = predictor.predict(probe)
    if not isinstance(found, Classification):
        raise TypeError("the ONNX model of a classifier should predict classes")
    named = hasattr(classifier, "feature_names_in_")
    inputs: Any = as_table(features, probe) if named else probe
    return compare_probabilities(
        [np.asarray(classifier.predict_proba(inputs))],
        found.probabilities,
        found.labels,
        [np.searchsorted(classifier.classes_, classifier.predict(inputs))],
    )


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
