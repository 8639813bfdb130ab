"""The shadow model: it scores a fraction of the requests, after their responses are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter

from tidegate.service.model.artefact import Artefact, Manifest
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Agreement, IncomparableError, Task

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
            "Rows that the shadow scored, by whether it predicts the same.",
            (*_LABELS, "agree"),
            registry=registry,
        )
        self.agree, self.differ = (rows.labels(*of, agree) for agree in ("true", "false"))
        dropped = Counter(
            "ml_shadow_dropped_total",
            "Rows selected for the shadow that it did not score: full (its queue was full), "
            "failed (it raised an error).",
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
        task: its task.
        artefact: the artefact of the shadow model.
        registry: the registry of its metrics.
        write_event: writes its events.
        hosting: where a predictor in Python is imported from.

    Raises:
        ArtefactError: it cannot be run.
        ShadowError: it is the serving model itself, or its predictions cannot be compared.
    """

    def __init__(
        self,
        model: Manifest,
        task: Task[Any],
        artefact: Artefact,
        registry: CollectorRegistry,
        write_event: WriteEvent,
        *,
        hosting: Hosting = Hosting(),
    ) -> None:
        shadow = artefact.manifest
        try:
            refuse_incompatible(model, shadow)
            self._compare = task.comparison(shadow)
        except IncomparableError as error:
            raise ShadowError(f"model.shadow_path: {artefact.path} {error}") from error
        self._predictor, _ = open_predictor(artefact, hosting=hosting)
        self._model = model
        self._shadow = shadow
        self.metrics: Final = ShadowMetrics(registry, model, shadow)
        self._write_event = write_event

    @property
    def version(self) -> str:
        """The version of the shadow model."""
        return self._shadow.version

    def score(self, batch: Sized, predicted: Any, trace_id: str) -> None:
        """Score the rows of a request; count and record how both predictions compare."""
        rows = len(batch)
        try:
            agreement = self._compare(predicted, self._predictor.predict(batch))
        except Exception:
            self.metrics.drop("failed", rows)
            raise
        agreed = agreement.agreed
        self.metrics.agree.inc(agreed)
        self.metrics.differ.inc(rows - agreed)
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
        IncomparableError: it is the serving model, takes something else, or has another task.
    """
    if shadow.version == model.version:
        raise IncomparableError(f"is version {model.version}, which is the serving model")
    if shadow.task != model.task:
        raise IncomparableError(f"has the task {shadow.task}, the serving model {model.task}")
    if _inputs(shadow) != _inputs(model):
        raise IncomparableError("has other features, or another order of them")
    if shadow.tensors != model.tensors or (shadow.input == "rows") != (model.input == "rows"):
        raise IncomparableError("has other inputs")


def _inputs(signature: Signature) -> Sequence[tuple[str, str, tuple[str, ...]]]:
    return [(feature.name, feature.kind, feature.categories) for feature in signature.features]
