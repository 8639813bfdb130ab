"""The shadow: a challenger that scores a share of the traffic, and answers nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from prometheus_client import CollectorRegistry, Counter

from service.artefact import Artefact, Manifest
from service.features import Matrix
from service.predict import Prediction, Predictor, load_predictor

_LABELS: Final = ("model", "version", "shadow")
Tell = Callable[[str, str, Mapping[str, Any]], None]
"""Writes an event: its dataset, its sentence, its fields."""


class ShadowRefusedError(Exception):
    """It cannot score this model's requests; the text says why."""


class ShadowMetrics:
    """What is counted of the shadows of one version."""

    def __init__(self, registry: CollectorRegistry, model: Manifest, shadow: Manifest) -> None:
        of = (model.name, model.version, shadow.version)
        rows = Counter(
            "ml_shadow_predictions_total",
            "Rows that the shadow scored, by whether it gives the label that was answered.",
            (*_LABELS, "agree"),
            registry=registry,
        )
        self.agree, self.differ = (rows.labels(*of, word) for word in ("true", "false"))
        dropped = Counter(
            "ml_shadow_dropped_total",
            "Rows picked for the shadow that it did not score.",
            (*_LABELS, "reason"),
            registry=registry,
        )
        self._dropped = {reason: dropped.labels(*of, reason) for reason in ("full", "failed")}

    def drop(self, reason: Literal["full", "failed"], rows: int) -> None:
        """Count rows that were not scored."""
        self._dropped[reason].inc(rows)


class Shadow:
    """A loaded challenger.

    Args:
        champion: the model that answers.
        artefact: the challenger's.
        registry: where its metrics are shown.
        tell: writes its events.

    Raises:
        ArtefactError: it cannot be run.
        ShadowRefusedError: it is the champion itself, or takes other features, or gives other classes.
    """

    def __init__(
        self, champion: Manifest, artefact: Artefact, registry: CollectorRegistry, tell: Tell
    ) -> None:
        shadow = artefact.manifest
        if reason := unfit(champion, shadow):
            raise ShadowRefusedError(f"model.shadow_path: {artefact.path} {reason}")
        self._predictor: Predictor = load_predictor(artefact)
        self._champion = champion
        self._shadow = shadow
        places = {label: place for place, label in enumerate(shadow.classes)}
        self._places = np.array([places[label] for label in champion.classes], dtype=np.intp)
        self.metrics: Final = ShadowMetrics(registry, champion, shadow)
        self._tell = tell

    @property
    def version(self) -> str:
        """The challenger's version."""
        return self._shadow.version

    def score(self, matrix: Matrix, answered: Prediction, trace_id: str) -> None:
        """Score the rows of a request that was answered; count and write down how both compare."""
        try:
            found = self._predictor.predict(matrix)
        except Exception:
            self.metrics.drop("failed", len(matrix))
            raise
        agree = self._places[answered.labels] == found.labels
        rows, agreed = len(matrix), int(agree.sum())
        self.metrics.agree.inc(agreed)
        self.metrics.differ.inc(rows - agreed)
        # Of the label that was answered, so that it stands beside the champion's own.
        same = found.probabilities[np.arange(rows), self._places[answered.labels]]
        self._tell(
            "shadow",
            f"{self.version} agrees on {agreed} of {rows} rows",
            self._fields(trace_id, rows, agreed, answered.confidence, same),
        )

    def _fields(
        self, trace_id: str, rows: int, agreed: int, answered: Any, same: Any
    ) -> dict[str, Any]:
        return {
            "event": {"action": "shadow", "outcome": "success"},
            "trace": {"id": trace_id},
            "tidegate": {
                "model": {"name": self._champion.name, "version": self._champion.version},
                "rows": rows,
                "prediction": {"probability": round(float(answered.mean()), 6)},
                "shadow": {
                    "version": self.version,
                    "agreed": agreed,
                    "probability": round(float(same.mean()), 6),
                    "difference": round(float(np.abs(same - answered).mean()), 6),
                },
            },
        }


def unfit(champion: Manifest, shadow: Manifest) -> str:
    """Why a challenger cannot score the champion's matrices; empty if it can."""
    if shadow.version == champion.version:
        return f"is version {champion.version}, which is what answers"
    if _inputs(shadow) != _inputs(champion):
        return "takes other features, or in another order"
    if set(shadow.classes) != set(champion.classes):
        return f"answers {', '.join(map(str, shadow.classes))}: other classes"
    return ""


def _inputs(manifest: Manifest) -> Sequence[tuple[str, str, tuple[str, ...]]]:
    return [(feature.name, feature.kind, feature.categories) for feature in manifest.features]
