"""The response of `/predict`: its prediction ids and its body."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns

import orjson

from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.service.model.loaded_model import Model
from tidegate.service.model.predictor import DECIMALS
from tidegate.service.serving.replica import BatchResult
from tidegate.telemetry import request_ids


def make_prediction_ids(result: BatchResult, signer: PredictionIds | None) -> list[str]:
    """The prediction id of each row."""
    assert signer is not None  # noqa: S101 (it is set with the model)
    labels = result.prediction.labels.tolist()
    confidences = _confidences(result)
    return signer.make(time_ns() // 1000, _request_ids(), labels, confidences)


def _confidences(result: BatchResult) -> list[float]:
    rounded: list[float] = result.prediction.confidence.astype(float).round(DECIMALS).tolist()
    return rounded


def _request_ids() -> tuple[str, str]:
    """The trace id and the span id of the request."""
    ids = request_ids()
    assert ids is not None  # noqa: S101 (it is called within a request)
    return ids


def encode(model: Model, result: BatchResult, prediction_ids: Sequence[str]) -> bytes:
    """The body, as JSON."""
    manifest = model.manifest
    labels = result.prediction.labels.tolist()
    probabilities = _confidences(result)
    return orjson.dumps(
        {
            "predictions": [
                {
                    "label": manifest.classes[label],
                    "probability": probability,
                    "prediction_id": prediction_id,
                }
                for label, probability, prediction_id in zip(
                    labels, probabilities, prediction_ids, strict=True
                )
            ],
            "model": {"name": manifest.name, "version": manifest.version},
            "work": result.work,
            "device": result.device,
            "trace_id": _request_ids()[0],
        }
    )
