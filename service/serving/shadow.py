"""The shadow model: it scores a fraction of the requests, after their responses are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter

from tidegate.service.model.artefact import Artefact, ArtefactError, Manifest
from tidegate.service.model.loaded_model import Model, open_predictor
from tidegate.service.model.predictor import make_task
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Agreement

_LABELS: Final = ("model", "version", "shadow")
WriteEvent = Callable[[str, str, Mapping[str, Any]], None]
"""Writes an event: dataset, message, fields."""


class Shadow:
    """A loaded shadow of the serving model.

    Raises:
        ArtefactError: it cannot be run, is the serving model itself, or its predictions cannot be compared.
    """

    def __init__(
        self,
        serving: Model,
        artefact: Artefact,
        registry: CollectorRegistry,
        write_event: WriteEvent,
        app_dir: Path,
    ) -> None:
        model, shadow = serving.manifest, artefact.manifest
        try:
            refuse_incompatible(model, shadow)
            self._compare = serving.task.comparison(shadow)
        except ArtefactError as error:
            raise ArtefactError(f"model.shadow_path: {artefact.path} {error}") from error
        self._predictor, _ = open_predictor(artefact, app_dir=app_dir)
        self._model = model
        self.version: Final = shadow.version
        self._write_event = write_event
        of = (model.name, model.version, shadow.version)
        rows = Counter(
            "ml_shadow_predictions_total",
            "Rows that the shadow scored, by whether it predicts the same.",
            (*_LABELS, "agree"),
            registry=registry,
        )
        self._agree, self._differ = (rows.labels(*of, agree) for agree in ("true", "false"))
        dropped = Counter(
            "ml_shadow_dropped_total",
            "Rows selected for the shadow that it did not score: full (its queue was full), "
            "failed (it raised an error).",
            (*_LABELS, "reason"),
            registry=registry,
        )
        self.full, self._failed = (dropped.labels(*of, reason) for reason in ("full", "failed"))

    def score(self, batch: Sized, predicted: Any, trace_id: str) -> None:
        """Score the rows of a request; count and record how both predictions compare."""
        rows = len(batch)
        try:
            agreement = self._compare(predicted, self._predictor.predict(batch))
        except Exception:
            self._failed.inc(rows)
            raise
        agreed = agreement.agreed
        self._agree.inc(agreed)
        self._differ.inc(rows - agreed)
        self._write_event(
            "shadow",
            f"{self.version} agrees on {agreed} of {rows} rows",
            self._fields(trace_id, rows, agreement),
        )

    def _fields(self, trace_id: str, rows: int, agreement: Agreement) -> dict[str, Any]:
        return {
            "event": {"action": "shadow", "outcome": "success"},
            "trace": {"id": trace_id},
            "tidegate": {
                "model": {"name": self._model.name, "version": self._model.version},
                "rows": rows,
                "prediction": agreement.served,
                "shadow": {
                    "version": self.version,
                    "agreed": agreement.agreed,
                    **agreement.shadow,
                },
            },
        }


def refuse_incompatible(model: Manifest, shadow: Manifest) -> None:
    """Refuse a shadow that cannot score the batches of the serving model.

    Raises:
        ArtefactError: it is the serving model, takes something else, or answers something else.
    """
    if shadow.version == model.version:
        raise ArtefactError(f"is version {model.version}, which is the serving model")
    if shadow.task != model.task:
        raise ArtefactError(f"has the task {shadow.task}, the serving model {model.task}")
    if _inputs(shadow) != _inputs(model):
        raise ArtefactError("has other features, or another order of them")
    if shadow.tensors != model.tensors or (shadow.input == "rows") != (model.input == "rows"):
        raise ArtefactError("has other inputs")
    if differences := make_task(model).differences(shadow):
        raise ArtefactError(f"has other answers: {'; '.join(differences)}")


def _inputs(signature: Signature) -> Sequence[tuple[str, str, tuple[str, ...]]]:
    return [(feature.name, feature.kind, feature.categories) for feature in signature.features]
