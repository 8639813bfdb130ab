"""The drift reference of a model, and its quality on rows whose truth is known."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.reference import BadReferenceError, Reference
from tidegate.monitoring.counting.residuals import MIN_ROWS, calibrate_residuals
from tidegate.service.artefacts.reference import build_reference, calibrate
from tidegate.service.artefacts.rows import Rows
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.predictions import Classification, Prediction

DECIMALS: Final = 4


def measure(rows: Rows, prediction: Prediction) -> tuple[Reference, dict[str, Any]]:
    """The reference, and the metrics on the rows whose truth is known; no metrics below `MIN_ROWS` of them.

    Returns:
        The reference, and the manifest's `held_out` metrics: of a classifier accuracy, of a regressor MAE and
        RMSE in the unit of its target, and the coverage of its interval. Empty without truth.

    Raises:
        ArtefactError: the model predicts a value that is not finite.
    """
    if isinstance(prediction, np.ndarray) and not np.isfinite(prediction).all():
        raise ArtefactError("it predicts a value that is not finite for a row of the CSV file")
    build = partial(build_reference, rows.features, rows.matrix, prediction)
    if rows.truth is None or (known := np.isfinite(rows.truth)).sum() < MIN_ROWS:
        return build(), {}
    truth = rows.truth[known]
    if isinstance(prediction, Classification):
        own = Classification(prediction.labels[known], prediction.probabilities[known])
        indices = truth.astype(np.intp)
        accuracy = float((own.labels == indices).mean())
        held_out = {"rows": len(indices), "accuracy": round(accuracy, DECIMALS)}
        return build(calibration=calibrate(own, indices)), held_out
    if not isinstance(prediction, np.ndarray):
        return build(), {}
    try:
        residuals = calibrate_residuals(prediction[known], truth)
    except BadReferenceError as error:
        raise ArtefactError(f"its errors on the CSV file cannot be computed: {error}") from error
    return build(residuals=residuals), {
        "rows": residuals.samples,
        "mae": float(f"{residuals.mean_absolute_error:.6g}"),
        "rmse": float(f"{residuals.root_mean_squared_error:.6g}"),
        "coverage": round(residuals.held_out_coverage, DECIMALS),
    }
