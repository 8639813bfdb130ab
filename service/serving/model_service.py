"""The model service in a replica: it loads a model, predicts in slots, and takes true labels."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from starlette.types import Receive

from tidegate.monitoring.counting.reference import BadReferenceError
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.processor import FeedbackProcessor
from tidegate.monitoring.feedback.signing_key import prediction_key
from tidegate.runtime.start_phases import end_phase
from tidegate.service.artefacts.import_cache import served_model
from tidegate.service.artefacts.import_report import served_by
from tidegate.service.model.artefact import ArtefactError, Manifest
from tidegate.service.model.loaded_model import Model, load_model, make_monitor
from tidegate.service.model.prediction_recorder import PredictionRecorder
from tidegate.service.model.work import Work, device_seconds, work_of
from tidegate.service.request_errors import Detail, RequestError, full_message
from tidegate.service.serving import rollout_peers
from tidegate.service.serving.after_response import AfterResponse
from tidegate.service.serving.client_disconnect import cancel_on_disconnect
from tidegate.serving import LoadingError, Replica, acquire_slot
from tidegate.telemetry import annotate, get_logger, span

log = get_logger("tidegate.service.serving.model_service")


class BatchResult(NamedTuple):
    """The prediction for the rows of one request, of the model's task, and how it was made."""

    prediction: Any
    work: Work
    device: str


class ModelService:
    """The model of one replica.

    Raises:
        SettingsError: the key of prediction ids cannot be read.
    """

    def __init__(self, replica: Replica) -> None:
        self.replica: Final = replica
        self.settings: Final = replica.settings
        self.request_bytes: Final = replica.settings.gateway.request_bytes
        self._slots = replica.slots
        self._key = prediction_key(self.settings)
        self.ids: PredictionIds | None = None
        self._feedback: FeedbackProcessor | None = None
        telemetry = replica.telemetry
        self.after_response: Final = AfterResponse(
            self.settings, telemetry.registry, telemetry.write_event
        )
        self.loaded: Model | None = None
        self.recorder: Final = PredictionRecorder(telemetry.registry, self.settings.drift.segments)
        self._threads = ThreadPoolExecutor(
            self.settings.slots.effective_max, thread_name_prefix="slot"
        )

    async def load(self) -> Model:
        """Load the model.

        Raises:
            LoadingError: it cannot be loaded; the text is the reason.
        """
        path = self.settings.model.path
        try:
            manifest = await self._load()
        except (ArtefactError, BadReferenceError, OSError) as error:
            # The reason is complete: a traceback would hide it.
            raise LoadingError(str(error)) from None
        except Exception as error:
            reason = f"{path} cannot be loaded: {type(error).__name__}: {full_message(error)}"
            raise LoadingError(reason) from error
        log.info("model loaded", model={"name": manifest.name, "version": manifest.version})
        if served := served_by(manifest.parity):
            log.warning(served)
        return self.model()

    async def _load(self) -> Manifest:
        settings = self.settings
        end_phase("application")
        artefact = await served_model(settings.model.path, settings)
        artefact.check_digest(settings.model.digest)
        manifest = artefact.manifest
        if problem := await self._rollout_problem(manifest):
            raise ArtefactError(problem)
        end_phase("files")
        model = await asyncio.to_thread(load_model, artefact, settings.service.app_dir)
        monitor = await asyncio.to_thread(make_monitor, artefact, settings)
        self.recorder.open(model, monitor)
        end_phase("session")
        if (truth := model.task.truth(manifest)) is not None:
            self._feedback = FeedbackProcessor(
                manifest.name,
                manifest.version,
                truth,
                key=self._key,
                drift=settings.drift,
                registry=self.replica.telemetry.registry,
            )
            self.ids = self._feedback.ids
        self.loaded = model
        self.replica.about.update(
            model=manifest.name,
            version=manifest.version,
            digest=manifest.digest,
            node=self.replica.telemetry.origin.node,
        )
        return manifest

    async def check_rollout(self, manifest: Manifest) -> None:
        """Stop if by now most replicas of this rollout serve another model than this one."""
        if not self._peers:
            return
        await asyncio.sleep(rollout_peers.DNS_SECONDS)
        if problem := await self._rollout_problem(manifest):
            log.warning(problem)
            self.replica.lifecycle.fail(problem)

    @property
    def _peers(self) -> str:
        """Where the replicas of its rollout are; empty if a digest, or nothing, says which model it is."""
        return "" if self.settings.model.digest else os.environ.get(rollout_peers.PEERS, "")

    async def _rollout_problem(self, manifest: Manifest) -> str:
        """Why it is not the model of this rollout; empty if it is."""
        node = self.replica.telemetry.origin.node
        found = await rollout_peers.rollout_digest(self._peers, node) if self._peers else ""
        if found in {"", manifest.digest}:
            return ""
        return (
            f"{self.settings.model.path} is not the model of this rollout: its digest is {manifest.digest}, "
            f"and its ready pods serve {found}; put that one back, or serve this one in all of them: "
            "kubectl rollout restart"
        )

    def close(self) -> None:
        """Stop the threads."""
        self.after_response.close()
        self._threads.shutdown(wait=False)

    def model(self) -> Model:
        """The loaded model.

        Raises:
            RequestError: 503, no model is loaded.
        """
        if self.loaded is None:
            lifecycle = self.replica.lifecycle
            message = f"The model is not loaded: {lifecycle.reason or lifecycle.phase}"
            detail = Detail(("model",), message, "not_ready")
            raise RequestError(503, detail, headers={"Retry-After": "1"})
        return self.loaded

    def feedback(self) -> FeedbackProcessor:
        """The processor of true labels.

        Raises:
            RequestError: 503, the model is not loaded; 404, no true label is defined for its predictions.
        """
        task = self.model().task
        if self._feedback is None:
            raise RequestError(404, Detail(("model",), task.no_feedback, "no_feedback"))
        return self._feedback

    async def predict(
        self, model: Model, batch: Sized, work: Work | None, receive: Receive
    ) -> BatchResult:
        """Wait for a slot and predict a batch in it; without `work` its number of rows says the kind.

        Raises:
            NoSlotError: no slot became free in time.
            RequestError: 499, the client closed the connection, as `receive` reports. Its slot is released
                when the model has finished.
        """
        kind = work or work_of(len(batch))
        manifest = model.manifest
        rows = len(batch)
        seconds = device_seconds(self.settings.device, kind)
        inline = not seconds and self._slots.has_free and rows <= model.inline_rows
        waited = {"queue_ns": 0} if inline else {}
        of = {"name": manifest.name, "version": manifest.version}
        annotate(model=of, rows=rows, work=kind, **waited)
        if inline:
            # It does not suspend, so nothing can cancel it.
            with self._slots.take() as slot, span("model.predict", rows=rows):
                prediction = model.predictor.predict(batch)
                self.recorder.statistics.slot_ns += perf_counter_ns() - slot.since_ns
        else:
            async with cancel_on_disconnect(receive):
                prediction = await self._work(model, batch, seconds)
        self.recorder.record(model, batch, prediction)
        device = "simulated" if self.settings.device.simulated else "cpu"
        return BatchResult(prediction, kind, device)

    async def _work(self, model: Model, batch: Sized, seconds: float) -> Any:
        with span("slot.wait"):
            acquired = await acquire_slot()
        with acquired as slot:
            start_ns = perf_counter_ns()
            with span("model.predict", rows=len(batch)):
                prediction = await self._predict(model, batch)
            if seconds:
                with span("device.simulated", seconds=seconds):
                    spent = (perf_counter_ns() - start_ns) / 1e9
                    await asyncio.sleep(max(0.0, seconds - spent))
            self.recorder.statistics.slot_ns += perf_counter_ns() - start_ns
        if slot is not None:
            self.recorder.statistics.queue_ns += slot.waited_ns
        return prediction

    async def _predict(self, model: Model, batch: Sized) -> Any:
        predict = model.predictor.predict
        if len(batch) <= model.inline_rows:
            return predict(batch)
        work = asyncio.get_running_loop().run_in_executor(self._threads, predict, batch)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # A thread cannot be cancelled, so the slot stays in use until it has finished.
            await asyncio.wait([work])
            if (error := work.exception()) is not None:  # there is no response that reports it
                log.exception("prediction failed after the client disconnected", exc_info=error)
            raise
