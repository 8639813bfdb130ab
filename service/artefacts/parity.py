"""The comparison of an ONNX model with the original on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.source_model import SourceModel
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictions import Classification
from tidegate.service.model.signature import Signature

TOLERANCE: Final = 1e-4
"""Largest difference that counts as equal: of a probability, or of a value divided by the standard deviation
of the predicted values. A regressor's unit is unknown, and what matters is whether a client could tell two
rows apart: a ten-thousandth of what distinguishes the predictions is far above the error of float32 (about
1e-6 of it) and far below any error of a model."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison of an ONNX model with the original on the same rows."""

    rows: int
    labels_equal: float
    """Fraction of rows with the same label; 1 for a regressor."""
    largest_difference: float
    """Of a probability, or of a value divided by the standard deviation of the predicted values."""
    rows_apart: float
    """Fraction of rows that differ by more than `TOLERANCE`."""

    def check(self, name: str, tolerated_fraction: float) -> None:
        """Refuse an ONNX model that predicts differently for more than this fraction of the rows.

        Raises:
            ArtefactError: more rows differ.
        """
        # Not `>`: NaN, from a graph that answers NaN, must not pass.
        if not self.rows_apart <= tolerated_fraction:
            raise ArtefactError(
                f"the ONNX model of {name} predicts differently: {self.rows_apart:.2%} of {self.rows} rows "
                f"differ by more than {TOLERANCE}, at most by {self.largest_difference:.3g}"
            )


def convert(
    source: SourceModel, features: tuple[Feature, ...], probe: Matrix
) -> tuple[Signature, bytes, Parity]:
    """Convert a model that was fitted here, and compare both models on held-out rows.

    Raises:
        ArtefactError: it cannot be converted, or the ONNX model predicts differently for a row.
    """
    signature = source.signature.model_copy(update={"features": features})
    graph = source.to_onnx(features)
    parity = compare(source, graph, signature, [probe])
    parity.check(source.description, 0.0)
    return signature, graph, parity


def compare(
    source: SourceModel, graph: bytes, signature: Signature, forms: Sequence[npt.NDArray[Any]]
) -> Parity:
    """Compare the ONNX model on the first form of the rows with the original on any form of them.

    Raises:
        ArtefactError: one of them cannot predict these rows.
    """
    assert source.predict is not None  # noqa: S101 (an ONNX file is not compared with itself)
    try:
        expected = [source.predict(signature.features, form) for form in forms]
        found = OnnxPredictor(graph, signature).predict(forms[0])
        labels = source.labels and [source.labels(signature.features, form) for form in forms]
    # The exceptions of the libraries and of ONNX Runtime have no common base class.
    except Exception as error:
        raise ArtefactError(
            f"{source.description} cannot be compared: {str(error)[:300]}"
        ) from error
    if isinstance(found, Classification):
        return _probabilities(expected, found, labels)
    return _values(expected, found)


def _probabilities(
    expected: Sequence[npt.NDArray[Any]],
    found: Classification,
    expected_labels: Sequence[npt.NDArray[np.intp]] | None,
) -> Parity:
    """Compare two classifiers. A label may differ only if two classes are tied.

    The original's probabilities, of shape [rows, classes], and its label's index per row are more than one
    where the rows have more than one form, of which one must agree. Default: the most probable label.
    """
    if expected_labels is None:
        expected_labels = [each.argmax(axis=1) for each in expected]
    differences, same, apart = [], [], []
    for probabilities, labels in zip(expected, expected_labels, strict=True):
        difference = np.abs(probabilities - found.probabilities).max(axis=1)
        best_two = np.sort(probabilities, axis=1)[:, -2:]
        tied = best_two[:, 1] - best_two[:, 0] <= TOLERANCE
        differences.append(difference)
        same.append(found.labels == labels)
        apart.append(~(difference <= TOLERANCE) | ~(same[-1] | tied))
    return _parity(differences, same, apart)


def _values(expected: Sequence[npt.NDArray[Any]], found: npt.NDArray[Any]) -> Parity:
    """Compare two regressors, relative to the standard deviation of the original's predictions."""
    wide = [each.astype(np.float64) for each in expected]
    # No tolerance is below the precision of float32: a constant model has no spread but rounding.
    precision = float(np.finfo(np.float32).eps) / TOLERANCE
    spread = max(float(wide[0].std()), precision * float(np.abs(wide[0]).max())) or 1.0
    differences = [np.abs(each - found.astype(np.float64)) / spread for each in wide]
    apart = [~(difference <= TOLERANCE) for difference in differences]
    return _parity(differences, [np.ones(len(found), dtype=np.bool_)], apart)


def _parity(
    differences: Sequence[npt.NDArray[Any]],
    same: Sequence[npt.NDArray[np.bool_]],
    apart: Sequence[npt.NDArray[np.bool_]],
) -> Parity:
    """The comparison, per row with the form that agrees best."""
    return Parity(
        rows=len(differences[0]),
        labels_equal=float(np.any(same, axis=0).mean()),
        largest_difference=float(np.min(differences, axis=0).max()),
        rows_apart=float(np.all(apart, axis=0).mean()),
    )
