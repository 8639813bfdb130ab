"""The choice of a model's ONNX form: the cheapest one that predicts as the original does."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.onnx_graph import thresholds
from tidegate.service.artefacts.source_model import SourceModel
from tidegate.service.artefacts.synthetic_rows import random_rows, with_holes
from tidegate.service.artefacts.ties import rows_at_ties
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Matrix
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictions import Classification
from tidegate.service.model.signature import Signature

TOLERANCE: Final = 1e-4
"""Largest difference that counts as equal: of a probability, or of a value divided by the standard deviation
of the predicted values. A regressor's unit is unknown, and what matters is whether a client could tell two
rows apart: a ten-thousandth of what distinguishes the predictions is far above the error of float32 (about
1e-6 of it) and far below any error of a model."""
SECONDS: Final = 3.0
"""About how long the original may take to predict rows at ties; a slow one predicts fewer."""
MIN_TIES: Final = 1000


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison of an ONNX model with the original on the same rows."""

    rows: int
    ties: int
    """How many of the rows lie at a jump of the prediction (`rows_at_ties`)."""
    labels_equal: float
    """Fraction of rows with the same label; 1 for a regressor."""
    largest_difference: float
    """Of a probability, or of a value divided by the standard deviation of the predicted values."""
    rows_apart: float
    """Fraction of rows that differ by more than `TOLERANCE`."""

    def check(self, name: str) -> None:
        """Refuse an ONNX model that predicts differently for any row.

        Raises:
            ArtefactError: a row differs.
        """
        if self.rows_apart:
            raise ArtefactError(
                f"the ONNX model of {name} predicts differently: {self.rows_apart:.2%} of {self.rows} rows "
                f"differ by more than {TOLERANCE}, at most by {self.largest_difference:.3g}"
            )


def convert(
    source: SourceModel, signature: Signature, probe: Matrix | None
) -> tuple[Signature, bytes, Parity, Matrix]:
    """Convert a model, and compare both on rows, by default synthetic ones, and at the ties near them.

    Features that may be missing are missing in some of the rows. Of the types that the original names, the
    first one in which all rows agree is taken.

    Returns:
        The signature with that type, the content of the ONNX file, the comparison, and its rows without ties.

    Raises:
        ArtefactError: it cannot be converted, or the ONNX model predicts differently for a row.
    """
    reason: ArtefactError | None = None
    for datatype in source.datatypes:
        wide = signature.model_copy(update={"datatype": datatype})
        try:
            graph = source.to_onnx(signature.features, datatype)
            rows = _synthetic(source, graph, signature) if probe is None else probe
            parity = compare(source, graph, wide, rows)
            parity.check(source.description)
        except ArtefactError as error:
            reason = reason or error
        else:
            return wide, graph, parity, rows
    assert reason is not None  # noqa: S101 (each has a type)
    raise reason


def _synthetic(source: SourceModel, graph: bytes, signature: Signature) -> Matrix:
    # The trees behind a scaler have the thresholds of other columns.
    found = thresholds(graph, len(signature.features)) if source.spread is None else {}
    return random_rows(signature.features, source.spread, found)


def compare(source: SourceModel, graph: bytes, signature: Signature, probe: Matrix) -> Parity:
    """Compare the ONNX model with the original on rows and at the ties near them.

    Raises:
        ArtefactError: one of them cannot predict these rows.
    """
    assert source.predict is not None  # noqa: S101 (an ONNX file is not compared with itself)
    features = signature.features
    try:
        predictor = OnnxPredictor(graph, signature)
        start = perf_counter()
        scale = _spread(source.predict(features, probe, {}))
        limit = max(MIN_TIES, int(SECONDS * len(probe) / (perf_counter() - start)))

        def answers(rows: Matrix) -> npt.NDArray[Any]:
            found = predictor.predict(rows)
            wide = found.probabilities if isinstance(found, Classification) else found[:, None]
            return np.asarray(wide / _unit(scale, wide))

        ties = rows_at_ties(answers, features, probe, TOLERANCE)
        ties = np.random.default_rng(0).permutation(ties)[:limit]
        rows = np.concatenate([probe, ties])
        if any(feature.missing for feature in features):
            rows = np.concatenate([rows, with_holes(rows, features)])
        expected = source.predict(features, rows, {})
        found = predictor.predict(rows)
        labels = source.labels and source.labels(features, rows, {})
    # The exceptions of the libraries and of ONNX Runtime have no common base class.
    except Exception as error:
        raise ArtefactError(
            f"{source.description} cannot be compared: {str(error)[:300]}"
        ) from error
    if isinstance(found, Classification):
        return _probabilities(expected, found, labels, len(ties))
    wide = expected.astype(np.float64)
    difference = np.abs(wide - found.astype(np.float64)) / _unit(scale, wide)
    return _parity(difference, np.ones(len(rows), np.bool_), ~(difference <= TOLERANCE), len(ties))


def _probabilities(
    expected: npt.NDArray[Any],
    found: Classification,
    labels: npt.NDArray[np.intp] | None,
    ties: int,
) -> Parity:
    """Compare two classifiers. A label may differ only if two classes are tied.

    The original's probabilities have the shape [rows, classes]; its labels, the index of a class per row, are
    the most probable ones if it names none.
    """
    if labels is None:
        labels = expected.argmax(axis=1)
    difference = np.abs(expected - found.probabilities).max(axis=1)
    best_two = np.sort(expected, axis=1)[:, -2:]
    tied = best_two[:, 1] - best_two[:, 0] <= TOLERANCE
    same = found.labels == labels
    return _parity(difference, same, ~(difference <= TOLERANCE) | ~(same | tied), ties)


def _spread(expected: npt.NDArray[Any]) -> float:
    """What differences are relative to: 1 for probabilities, else the standard deviation of the values."""
    if expected.ndim > 1:
        return 1.0
    wide = expected.astype(np.float64)
    # A constant model has no spread but rounding.
    return float(_unit(wide.std(), np.abs(wide).max())) or 1.0


def _unit(spread: float, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the difference of a value is relative to, so that no tolerance is below the precision of float32.

    Rows far from those of training, of which a linear model predicts huge values, widen only their own.
    """
    return np.asarray(np.maximum(spread, np.finfo(np.float32).eps / TOLERANCE * np.abs(values)))


def _parity(
    difference: npt.NDArray[Any],
    same: npt.NDArray[np.bool_],
    apart: npt.NDArray[np.bool_],
    ties: int,
) -> Parity:
    return Parity(
        rows=len(difference),
        ties=ties,
        labels_equal=float(same.mean()),
        largest_difference=float(difference.max()),
        rows_apart=float(apart.mean()),
    )
