"""The shadow model: it scores a fraction of the requests, after their responses are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from tidegate.service.model.artefact import Artefact, Manifest
from tidegate.service.model.features import Matrix
from tidegate.service.model.predictions import Classification
from tidegate.service.model.predictor import Predictor, load_predictor

_LABELS: Final = ("model", "version", "shadow")
WriteEvent = Callable[[str, str, Mapping[str, Any]], None]
"""Writes an event: dataset, message, fields."""


class ShadowError(Exception):
    """The model cannot be a shadow of this one; the text gives the reason."""


class ShadowMetrics:
    """The metrics of the shadow models of one version."""

    def __init__(self, registry: CollectorRegistry, model: Manifest, shadow: Manifest) -> None:
        of = (model.name, model.version, shadow.version)
        rows = Counter(
            "ml_shadow_predictions_total",
            "Rows that the shadow scored, by whether it predicts the same label.",
            (*_LABELS, "agree"),
            registry=registry,
        )
        self.agree, self.differ = (rows.labels(*of, agree) for agree in ("true", "false"))
        dropped = Counter(
            "ml_shadow_dropped_total",
            "Rows selected for the shadow that it did not score.",
            (*_LABELS, "reason"),
            registry=registry,
        )
        self._dropped = {reason: dropped.labels(*of, reason) for reason in ("full", "failed")}

    def drop(self, reason: Literal["full", "failed"], rows: int) -> None:
        """Count rows that were not scored."""
        self._dropped[reason].inc(rows)


class Shadow:
    """A loaded shadow model.

    Args:
        model: the manifest of the model that serves.
        artefact: the artefact of the shadow model.
        registry: the registry of its metrics.
        write_event: writes its events.

    Raises:
        ArtefactError: ONNX Runtime cannot run it.
        ShadowError: it is the serving model itself, or has other features or other classes.
    """

    def __init__(
        self,
        model: Manifest,
        artefact: Artefact,
        registry: CollectorRegistry,
        write_event: WriteEvent,
    ) -> None:
        shadow = artefact.manifest
        if reason := incompatibility(model, shadow):
            raise ShadowError(f"model.shadow_path: {artefact.path} {reason}")
        self._predictor: Predictor = load_predictor(artefact)
        self._model = model
        self._shadow = shadow
        positions = {label: position for position, label in enumerate(shadow.classes)}
        self._positions = np.array([positions[label] for label in model.classes], dtype=np.intp)
        self.metrics: Final = ShadowMetrics(registry, model, shadow)
        self._write_event = write_event

    @property
    def version(self) -> str:
        """The version of the shadow model."""
        return self._shadow.version

    def score(self, matrix: Matrix, predicted: Classification, trace_id: str) -> None:
        """Score the rows of a request; count and record how both predictions compare."""
        try:
            found = self._predictor.predict(matrix)
        except Exception:
            self.metrics.drop("failed", len(matrix))
            raise
        agree = self._positions[predicted.labels] == found.labels
        rows, agreed = len(matrix), int(agree.sum())
        self.metrics.agree.inc(agreed)
        self.metrics.differ.inc(rows - agreed)
        # The probability of the label in the response, to compare with the serving model's.
        same = found.probabilities[np.arange(rows), self._positions[predicted.labels]]
        self._write_event(
            "shadow",
            f"{self.version} agrees on {agreed} of {rows} rows",
            self._fields(trace_id, rows, agreed, predicted.confidence, same),
        )

    def _fields(
        self, trace_id: str, rows: int, agreed: int, predicted: Any, same: Any
    ) -> dict[str, Any]:
        return {
            "event": {"action": "shadow", "outcome": "success"},
            "trace": {"id": trace_id},
            "tidegate": {
                "model": {"name": self._model.name, "version": self._model.version},
                "rows": rows,
                "prediction": {"probability": round(float(predicted.mean()), 6)},
                "shadow": {
                    "version": self.version,
                    "agreed": agreed,
                    "probability": round(float(same.mean()), 6),
                    "difference": round(float(np.abs(same - predicted).mean()), 6),
                },
            },
        }


def incompatibility(model: Manifest, shadow: Manifest) -> str:
    """Why the shadow model cannot score the matrices of the serving one; empty if it can."""
    if shadow.version == model.version:
        return f"is version {model.version}, which is the serving model"
    if _inputs(shadow) != _inputs(model):
        return "has other features, or another order of them"
    if set(shadow.classes) != set(model.classes):
        return f"has other classes: {', '.join(map(str, shadow.classes))}"
    return ""


def _inputs(manifest: Manifest) -> Sequence[tuple[str, str, tuple[str, ...]]]:
    return [(feature.name, feature.kind, feature.categories) for feature in manifest.features]
