"""The drift reference of a model, and its quality on rows whose truth is known."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.reference import BadReferenceError, Reference
from tidegate.monitoring.counting.residuals import MIN_ROWS, calibrate_residuals
from tidegate.service.artefacts.import_error import ImportModelError
from tidegate.service.artefacts.reference import build_reference, calibrate
from tidegate.service.artefacts.rows import Rows
from tidegate.service.model.predictions import Classification, Prediction

DECIMALS: Final = 4


def measure(rows: Rows, prediction: Prediction, classes: int) -> tuple[Reference, dict[str, Any]]:
    """The reference, and the metrics on the rows whose truth is known; no metrics below `MIN_ROWS` of them.

    Args:
        rows: the rows.
        prediction: the predictions for all of them.
        classes: the number of classes.

    Returns:
        The reference, and the manifest's `held_out` metrics: of a classifier accuracy, of a regressor MAE and
        RMSE in the unit of its target, and the coverage of its interval. Empty without truth.

    Raises:
        ImportModelError: the model predicts a value that is not finite.
    """
    known = rows.labelled
    has_truth = rows.truth is not None and int(known.sum()) >= MIN_ROWS
    truth = rows.truth[known] if rows.truth is not None else np.empty(0)
    if isinstance(prediction, Classification):
        counts = np.bincount(prediction.labels, minlength=classes).tolist()
        if not has_truth:
            return build_reference(rows.features, rows.matrix, None, counts), {}
        own = Classification(prediction.labels[known], prediction.probabilities[known])
        indices = truth.astype(np.intp)
        reference = build_reference(rows.features, rows.matrix, calibrate(own, indices), counts)
        accuracy = float((own.labels == indices).mean())
        return reference, {"rows": len(indices), "accuracy": round(accuracy, DECIMALS)}
    if not isinstance(prediction, np.ndarray):
        return build_reference(rows.features, rows.matrix), {}
    values = prediction
    if not np.isfinite(values).all():
        raise ImportModelError("it predicts a value that is not finite for a row of the CSV file")
    if not has_truth:
        return build_reference(rows.features, rows.matrix, values=values), {}
    try:
        residuals = calibrate_residuals(values[known], truth)
    except BadReferenceError as error:
        raise ImportModelError(f"its errors on the CSV file cannot be computed: {error}") from error
    return build_reference(rows.features, rows.matrix, values=values, residuals=residuals), {
        "rows": residuals.samples,
        "mae": float(f"{residuals.mean_absolute_error:.6g}"),
        "rmse": float(f"{residuals.root_mean_squared_error:.6g}"),
        "coverage": round(residuals.held_out_coverage, DECIMALS),
    }
