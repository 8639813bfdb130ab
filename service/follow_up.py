"""What follows an answer: the shadow scores its share, and rows are kept for a later training."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter
from starlette.background import BackgroundTask

from service.adoption import find_model
from service.afterwards import Afterwards
from service.artefact import ArtefactError, Manifest
from service.features import Matrix, Schema
from service.predict import Prediction
from service.shadow import Shadow, ShadowRefusedError, Tell
from tidegate.drift.rows import row_events
from tidegate.settings import Settings
from tidegate.telemetry import get_logger

log = get_logger("service.follow_up")


class FollowUp:
    """For one replica.

    Args:
        settings: which shares.
        registry: where metrics are shown.
        tell: writes events.
        draw: a number from 0 up to 1, for the shares.
    """

    def __init__(
        self,
        settings: Settings,
        registry: CollectorRegistry,
        tell: Tell,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._model = settings.model
        self._data_dir = settings.stack.data_dir
        self._keep_share = settings.drift.keep_rows_share
        self._registry = registry
        self._tell = tell
        self._draw = draw
        self._afterwards = Afterwards()
        self.shadow: Shadow | None = None
        rows = Counter(
            "tidegate_rows_kept_total",
            "Rows picked to be kept, by whether their event was written.",
            ("written",),
            registry=registry,
        )
        self._kept, self._lost = (rows.labels(word) for word in ("true", "false"))

    async def load(self, champion: Manifest) -> None:
        """Load the shadow, if there shall be one. One that cannot be loaded costs nobody an answer."""
        path = self._model.shadow_path
        if path is None or not self._model.shadow_share:
            return
        try:
            artefact = await find_model(path, self._data_dir)
            self.shadow = await asyncio.to_thread(
                Shadow, champion, artefact, self._registry, self._tell
            )
        except (ArtefactError, ShadowRefusedError, OSError) as error:
            # The reason says it all: a traceback would only bury it.
            log.error("shadow refused", shadow={"path": str(path)}, reason=str(error))  # noqa: TRY400
            return
        except Exception:
            log.exception("shadow not loaded", shadow={"path": str(path)})
            return
        log.info("shadow loaded", shadow={"path": str(path), "version": self.shadow.version})

    def after(
        self,
        champion: Manifest,
        schema: Schema,
        matrix: Matrix,
        answered: Prediction,
        *,
        trace_id: str,
        prediction_ids: Sequence[str] = (),
    ) -> BackgroundTask | None:
        """What to do once the answer is sent; None if nothing.

        Args:
            champion: what answered.
            schema: its features.
            matrix: the rows.
            answered: what they were answered with.
            trace_id: the request's.
            prediction_ids: of the rows; without them none is kept, as no label would find it.
        """
        shadow = self.shadow
        scored = shadow is not None and self._draw() < self._model.shadow_share
        kept = bool(prediction_ids) and self._draw() < self._keep_share
        if not (scored or kept):
            return None

        keep = partial(self._keep, champion, schema, matrix, trace_id, prediction_ids)

        async def hand_over() -> (
            None
        ):  # a coroutine: another function would get a thread of its own
            if kept and not self._afterwards.offer(keep):
                self._lost.inc(len(matrix))
            if scored and shadow is not None:
                score = partial(shadow.score, matrix, answered, trace_id)
                if not self._afterwards.offer(score):
                    shadow.metrics.drop("full", len(matrix))

        return BackgroundTask(hand_over)

    def close(self) -> None:
        """Do what is left, for a moment at most."""
        self._afterwards.close()

    def _keep(
        self,
        champion: Manifest,
        schema: Schema,
        matrix: Matrix,
        trace_id: str,
        prediction_ids: Sequence[str],
    ) -> None:
        values = [list(row.values()) for row in schema.decode(matrix)]
        of = {"trace_id": trace_id, "model": champion.name, "version": champion.version}
        for sentence, fields in row_events(schema.names, values, prediction_ids, **of):
            self._tell("rows", sentence, fields)
        self._kept.inc(len(matrix))
