"""Conversion from scikit-learn to ONNX, and the comparison of both models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common import tree_ensemble
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.matrix import MATRIX_INPUT
from tidegate.service.model.onnx_predictor import open_graph
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.signature import Signature

Class: TypeAlias = str | int
TOLERANCE: Final = 1e-4
"""Largest difference of a probability that counts as equal."""


class ExportError(Exception):
    """The model cannot be converted, or the ONNX model predicts differently."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison of an ONNX model with the original on the same rows.

    Attributes:
        rows: rows compared.
        labels_equal: fraction of rows with the same label.
        largest_difference: the largest difference of a probability.
        rows_apart: fraction of rows with a probability that differs by more than `TOLERANCE`.
    """

    rows: int
    labels_equal: float
    largest_difference: float
    rows_apart: float

    def as_json(self) -> dict[str, float]:
        """The fields of the manifest."""
        return asdict(self)


def export(
    classifier: Any,
    features: Sequence[Feature],
    probe: Matrix,
    *,
    columns: bool = False,
    tolerated_fraction: float = 0.0,
) -> tuple[bytes, Parity]:
    """Convert a fitted classifier and compare both models.

    Args:
        classifier: a fitted scikit-learn classifier or pipeline with `predict_proba`.
        features: the features of the columns of `probe`.
        probe: rows to compare on, preferably held-out ones.
        columns: whether the classifier needs a table with named columns.
        tolerated_fraction: fraction of rows whose probabilities may differ by more than `TOLERANCE`.

    Returns:
        The content of the ONNX file, and the comparison.

    Raises:
        ExportError: skl2onnx cannot convert it, or the predictions differ.
    """
    try:
        with _whole_numbers():
            model = to_onnx(
                classifier,
                initial_types=_inputs(features, columns=columns),
                options={id(classifier): {"zipmap": False}},
            )
        graph = model.SerializeToString()
        signature = Signature(
            input="columns" if columns else "matrix",
            features=tuple(features),
            classes=classes_of(classifier),
        )
        predictor = open_graph(graph, signature)
        parity = compare(classifier, predictor, features, probe)
    except ExportError:
        raise
    # The exceptions of the converters and of ONNX Runtime have no common base class.
    except Exception as error:
        reason = str(error)[:300]  # some contain the whole model
        raise ExportError(
            f"{type(classifier).__name__} cannot be converted to ONNX: {reason}"
        ) from error
    if parity.rows_apart > tolerated_fraction:
        raise ExportError(
            f"the ONNX model of {type(classifier).__name__} predicts differently: "
            f"{parity.rows_apart:.2%} of {parity.rows} rows differ by more than {TOLERANCE}, "
            f"at most by {parity.largest_difference:.3g}"
        )
    return graph, parity


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
    classes: list[Class] = []
    for value in np.asarray(classifier.classes_).tolist():
        if isinstance(value, str):
            classes.append(value)
        elif isinstance(value, int | float) and value == int(value):
            classes.append(int(value))
        else:
            raise ExportError(f"class {value!r} is neither a string nor an integer")
    return tuple(classes)


def compare(
    classifier: Any,
    predictor: Predictor,
    features: Sequence[Feature],
    probe: Matrix,
) -> Parity:
    """Compare the predictions of both models. A label may differ only if two classes are tied."""
    named = hasattr(classifier, "feature_names_in_")
    inputs: Any = as_table(features, probe) if named else probe
    expected = np.asarray(classifier.predict_proba(inputs))
    expected_labels = np.searchsorted(classifier.classes_, classifier.predict(inputs))
    found = predictor.predict(probe)
    difference = np.abs(expected - found.probabilities).max(axis=1)
    best_two = np.sort(expected, axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= TOLERANCE
    same = found.labels == expected_labels
    return Parity(
        rows=len(probe),
        labels_equal=float(same.mean()),
        largest_difference=float(difference.max()),
        rows_apart=float(((difference > TOLERANCE) | ~(same | tied)).mean()),
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
