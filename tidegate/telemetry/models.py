"""The models that an application watches by `telemetry.model(…)`. numpy is imported by the first one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry

from tidegate.monitoring.feedback.outcomes import event_message
from tidegate.settings import Settings
from tidegate.telemetry.logs import get_logger
from tidegate.telemetry.request_record import annotate, request_ids

if TYPE_CHECKING:
    from tidegate.monitoring.watching.watched_model import WatchedModel

_LOGGER: Final = "tidegate.telemetry"


class WatchedModels:
    """The models of one application.

    Args:
        settings: its settings.
        registry: the registry of its metrics.
        write_event: `Telemetry.write_event`.

    Raises:
        ImportError: numpy is not installed.
    """

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        write_event: Callable[..., None],
    ) -> None:
        # Here, because an application that watches no model does not need numpy.
        from tidegate.monitoring.watching.merged_collector import MergedCollector  # noqa: PLC0415

        self._settings, self._write_event = settings, write_event
        self._collector = MergedCollector()
        registry.register(self._collector)
        self._models: dict[tuple[str, str], WatchedModel] = {}

    def add(self, name: str, version: str, reference: str | Path | None) -> WatchedModel:
        """Watch a model; see `Telemetry.model`."""
        from tidegate.monitoring.counting.reference import load_reference  # noqa: PLC0415
        from tidegate.monitoring.feedback.signing_key import prediction_key  # noqa: PLC0415
        from tidegate.monitoring.watching.watched_model import Host, WatchedModel  # noqa: PLC0415

        if (name, version) in self._models:
            raise ValueError(
                f"the model {name} {version} is already watched: keep what model() returned"
            )
        log = get_logger(_LOGGER)
        model = WatchedModel(
            name,
            version,
            reference=None if reference is None else load_reference(Path(reference)),
            key=prediction_key(self._settings),
            drift=self._settings.drift,
            host=Host(
                request_ids=request_ids,
                annotate=annotate,
                write_outcome=self._write_outcome,
                warn=lambda text: log.warning(text, model={"name": name, "version": version}),
            ),
        )
        self._collector.add(model.registry)
        self._models[name, version] = model
        return model

    def _write_outcome(self, event_id: str, fields: dict[str, Any]) -> None:
        self._write_event("outcome", event_message(fields), fields, event_id=event_id)
