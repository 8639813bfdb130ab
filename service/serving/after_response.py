"""Work after a response: the shadow model scores it, and its rows are retained for later training."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence, Sized
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from tidegate.monitoring.feedback.retained_rows import row_events
from tidegate.service.artefacts.import_cache import served_model
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.loaded_model import Model
from tidegate.service.serving.background import BackgroundWorker
from tidegate.service.serving.shadow import Shadow, WriteEvent
from tidegate.settings import Settings
from tidegate.telemetry import current_ids, get_logger

log = get_logger("tidegate.service.serving.after_response")


class AfterResponse:
    """The background work of one replica; `draw` gives a random number from 0 up to 1, for the sampling."""

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        write_event: WriteEvent,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._retain_fraction = settings.drift.keep_rows_share
        self._registry = registry
        self._write_event = write_event
        self._draw = draw
        self._worker = BackgroundWorker()
        self.shadow: Shadow | None = None
        rows = Counter(
            "tidegate_rows_kept_total",
            "Rows selected for retraining, by whether their event was written.",
            ("written",),
            registry=registry,
        )
        self._retained, self._lost = (rows.labels(written) for written in ("true", "false"))

    async def load(self, model: Model) -> None:
        """Load the shadow model, if the settings name one. A failure is logged; requests are not affected."""
        path = self._settings.model.shadow_path
        if path is None or not self._settings.model.shadow_share:
            return
        try:
            artefact = await served_model(path, self._settings)
            app_dir = self._settings.service.app_dir
            of = (model, artefact, self._registry, self._write_event, app_dir)
            self.shadow = await asyncio.to_thread(Shadow, *of)
        except (ArtefactError, OSError) as error:
            # The reason is complete: a traceback would hide it.
            log.error("shadow refused", shadow={"path": str(path)}, reason=str(error))  # noqa: TRY400
            return
        except Exception:
            log.exception("shadow not loaded", shadow={"path": str(path)})
            return
        log.info("shadow loaded", shadow={"path": str(path), "version": self.shadow.version})

    def after(
        self, model: Model, batch: Sized, predicted: Any, prediction_ids: Sequence[str] = ()
    ) -> Callable[[], None] | None:
        """The work after the response to the current request is sent; None if there is none.

        Without prediction ids no row is retained, as no label could be joined. Nor is a row of tensors: only
        features are.
        """
        shadow = self.shadow
        if (shadow is None and not self._retain_fraction) or (ids := current_ids()) is None:
            return None
        trace_id = ids[0]
        scored = shadow is not None and self._draw() < self._settings.model.shadow_share
        retained = (
            bool(prediction_ids and model.inputs.features) and self._draw() < self._retain_fraction
        )
        if not (scored or retained):
            return None

        retain = partial(self._retain, model, batch, trace_id, prediction_ids)

        def enqueue() -> None:
            if retained and not self._worker.offer(retain):
                self._lost.inc(len(batch))
            if scored and shadow is not None:
                score = partial(shadow.score, batch, predicted, trace_id)
                if not self._worker.offer(score):
                    shadow.full.inc(len(batch))

        return enqueue

    def close(self) -> None:
        """Finish the queued work, within a short time."""
        self._worker.close()

    def _retain(
        self,
        model: Model,
        batch: Sized,
        trace_id: str,
        prediction_ids: Sequence[str],
    ) -> None:
        names = [feature.name for feature in model.inputs.features]
        values = [list(row.values()) for row in model.inputs.instances(batch)]
        manifest = model.manifest
        of = {"trace_id": trace_id, "model": manifest.name, "version": manifest.version}
        for message, fields in row_events(names, values, prediction_ids, **of):
            self._write_event("rows", message, fields)
        self._retained.inc(len(batch))
