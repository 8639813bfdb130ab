"""A replica: one loaded model, its slots, and whether it may be sent requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import Final, Literal, TypeAlias

import numpy as np
from prometheus_client import CollectorRegistry, Counter
from starlette.background import BackgroundTask
from starlette.types import Receive

from service.adoption import find_model
from service.artefact import REFERENCE, Artefact, ArtefactError, Manifest
from service.body import client_gone
from service.features import Matrix, Schema
from service.follow_up import FollowUp
from service.inline import inline_rows, typical_rows
from service.predict import Prediction, Predictor, load_predictor
from service.problems import Detail, RequestError
from service.segments import segments_of
from service.slots import SlotMetrics, Slots
from service.slots_follower import SlotsFollower
from tidegate.drift.desk import OutcomeDesk
from tidegate.drift.ids import PredictionIds, answers_digest
from tidegate.drift.keys import prediction_key
from tidegate.drift.monitor import ModelMonitor
from tidegate.drift.outcome_metrics import OutcomeMetrics
from tidegate.drift.reference import BadReferenceError, load_reference
from tidegate.settings import Device, Settings
from tidegate.slots_file import SlotsFile
from tidegate.telemetry import annotate, current_ids, get_logger, span

Work: TypeAlias = Literal["light", "medium", "heavy"]
Phase: TypeAlias = Literal["loading", "ready", "draining", "failed"]

WORKS: Final[tuple[Work, ...]] = ("light", "medium", "heavy")
MEDIUM_ROWS: Final = 32

log = get_logger("service")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is loaded.

    Attributes:
        manifest: what its artefact says about it.
        schema: its features.
        predictor: the model itself.
        labels: its classes, as text.
        inline_rows: most rows that are answered on the event loop; more run in a thread.
    """

    manifest: Manifest
    schema: Schema
    predictor: Predictor
    labels: tuple[str, ...]
    inline_rows: int


@dataclass(slots=True)
class Tally:
    """What was answered since the start.

    Attributes:
        batches: requests.
        rows: their rows.
        queue_ns: time they waited for a slot, in nanoseconds.
        slot_ns: time they held one.
        last_unix_ms: when the last one ended, in milliseconds since 1970.
    """

    batches: int = 0
    rows: int = 0
    queue_ns: int = 0
    slot_ns: int = 0
    last_unix_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a batch is answered with."""

    prediction: Prediction
    work: Work
    simulated: bool

    @property
    def device(self) -> str:
        """What a person is told it ran on."""
        return "simulated" if self.simulated else "cpu"


def work_of(rows: int) -> Work:
    """The kind of a request that does not name it: 1 row is light, up to 32 are medium."""
    if rows == 1:
        return "light"
    return "medium" if rows <= MEDIUM_ROWS else "heavy"


def device_seconds(device: Device, work: Work) -> float:
    """How long the simulated device works on such a request; 0 without one."""
    if not device.simulated:
        return 0.0
    return {
        "light": device.light_seconds,
        "medium": device.medium_seconds,
        "heavy": device.heavy_seconds,
    }[work]


class Replica:
    """One process's share of the service.

    Args:
        settings: the settings.
        registry: where its metrics are shown.

    Raises:
        SettingsError: the key of prediction ids cannot be read.
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self.settings: Final = settings
        self.phase: Phase = "loading"
        self._registry = registry
        self._monitor: ModelMonitor | None = None
        self._key = prediction_key(settings)
        self.ids: PredictionIds | None = None
        self._desk: OutcomeDesk | None = None
        self.follow_up: FollowUp | None = None
        self.reason: str = ""
        self.loaded: Model | None = None
        self.tally: Final = Tally()
        slots = settings.slots
        self.slots: Final = Slots(
            slots.per_replica,
            wait_length=slots.wait_length,
            wait_seconds=slots.wait_seconds,
            metrics=SlotMetrics(registry),
        )
        file = SlotsFile(slots.file, slots.most) if slots.file else None
        self.slots_follower: Final = SlotsFollower(self.slots, file)
        self._predictions = Counter(
            "tidegate_predictions_total",
            "Rows answered, by the label that was given.",
            ("model", "version", "label"),
            registry=registry,
        )
        self._counters: list[Counter] = []
        self._threads = ThreadPoolExecutor(slots.most, thread_name_prefix="slot")

    async def load(self) -> None:
        """Load the model and become ready; on failure, `phase` and `reason` say so."""
        path = self.settings.model.path
        try:
            manifest = await self._load()
        except (ArtefactError, BadReferenceError, OSError) as error:
            self.phase, self.reason = "failed", str(error)
            # The reason says it all: a traceback would only bury it.
            log.error("model refused", model={"path": str(path)}, reason=str(error))  # noqa: TRY400
            return
        except Exception as error:  # a replica that stays "loading" would wait for ever
            self.phase = "failed"
            self.reason = f"{path} cannot be loaded: {type(error).__name__}: {error}"
            log.exception("model not loaded", model={"path": str(path)}, reason=self.reason)
            return
        if self.phase == "loading":
            self.phase = "ready"
        log.info("model loaded", model={"name": manifest.name, "version": manifest.version})
        if self.follow_up is not None:  # requests need not wait for it
            await self.follow_up.load(manifest)

    async def _load(self) -> Manifest:
        artefact = await find_model(self.settings.model.path, self.settings.stack.data_dir)
        manifest = artefact.manifest
        predictor = await asyncio.to_thread(load_predictor, artefact)
        monitor = await asyncio.to_thread(make_monitor, artefact, self.settings)
        schema = Schema(manifest.features)
        inline = await asyncio.to_thread(
            lambda: inline_rows(predictor.predict, typical_rows(artefact, schema))
        )
        labels = tuple(str(label) for label in manifest.classes)
        # Made now, so that each label's series is there from 0 on.
        self._counters = [
            self._predictions.labels(manifest.name, manifest.version, label) for label in labels
        ]
        self._registry.register(monitor)
        self._monitor = monitor
        self.ids, self._desk = self._open_desk(manifest)
        self.loaded = Model(manifest, schema, predictor, labels, inline)
        return manifest

    def drain(self) -> None:
        """Ask for no more requests. Those that come all the same are answered."""
        self.phase = "draining"

    def close(self) -> None:
        """Give up the threads."""
        if self.follow_up is not None:
            self.follow_up.close()
        self._threads.shutdown(wait=False)

    def model(self) -> Model:
        """The model.

        Raises:
            RequestError: 503, it is not loaded.
        """
        if self.loaded is None:
            message = f"The model is not loaded: {self.reason or self.phase}"
            detail = Detail(("model",), message, "not_ready")
            raise RequestError(503, detail, headers={"Retry-After": "1"})
        return self.loaded

    def after(
        self, model: Model, matrix: Matrix, answer: Answer, prediction_ids: Sequence[str] = ()
    ) -> BackgroundTask | None:
        """What is to be done once this answer is sent."""
        if self.follow_up is None or (ids := current_ids()) is None:
            return None
        return self.follow_up.after(
            model.manifest,
            model.schema,
            matrix,
            answer.prediction,
            trace_id=ids[0],
            prediction_ids=prediction_ids,
        )

    def desk(self) -> OutcomeDesk:
        """Where labels are handed in.

        Raises:
            RequestError: 503, the model is not loaded.
        """
        self.model()
        assert self._desk is not None  # noqa: S101 (it is opened with the model)
        return self._desk

    def _open_desk(self, manifest: Manifest) -> tuple[PredictionIds, OutcomeDesk]:
        drift = self.settings.drift
        of = (manifest.name, manifest.version, manifest.classes)
        answers = answers_digest(manifest.name, manifest.classes)
        ids = PredictionIds(self._key, manifest.version, answers)
        desk = OutcomeDesk(
            *of,
            ids,
            accept_seconds=drift.label_accept_seconds,
            memory=drift.label_memory,
            metrics=OutcomeMetrics(self._registry, *of),
            accuracy=_held_out_accuracy(manifest),
        )
        return ids, desk

    async def answer(
        self, model: Model, matrix: Matrix, work: Work | None, receive: Receive
    ) -> Answer:
        """Wait for a slot and work on a batch in it.

        Args:
            model: the model.
            matrix: rows made by its schema.
            work: the kind of the request; None to take it from the number of rows.
            receive: the request's ASGI channel, whose end tells that the client left.

        Raises:
            RequestError: 503 no slot in time; 499 the client left. Its slot is free again once the model
                has ended.
        """
        kind = work or work_of(len(matrix))
        manifest = model.manifest
        annotate(
            model={"name": manifest.name, "version": manifest.version},
            rows=len(matrix),
            work=kind,
        )
        seconds = device_seconds(self.settings.device, kind)
        if not seconds and self.slots.has_free and len(matrix) <= model.inline_rows:
            prediction = await self._work(model, matrix, 0.0)  # over before anyone could leave
        else:
            async with while_client_stays(receive):
                prediction = await self._work(model, matrix, seconds)
        self._note(model, matrix, prediction)
        return Answer(prediction, kind, self.settings.device.simulated)

    async def _work(self, model: Model, matrix: Matrix, seconds: float) -> Prediction:
        with span("slot.wait"):
            slot = await self.slots.acquire()
        with slot:
            annotate(queue_ns=slot.waited_ns)
            start_ns = perf_counter_ns()
            with span("model.predict", rows=len(matrix)):
                prediction = await self._predict(model, matrix)
            if seconds:
                with span("device.simulated", seconds=seconds):
                    spent = (perf_counter_ns() - start_ns) / 1e9
                    await asyncio.sleep(max(0.0, seconds - spent))
            self.tally.slot_ns += perf_counter_ns() - start_ns
        self.tally.queue_ns += slot.waited_ns
        return prediction

    async def _predict(self, model: Model, matrix: Matrix) -> Prediction:
        predict = model.predictor.predict
        if len(matrix) <= model.inline_rows:
            return predict(matrix)
        work = asyncio.get_running_loop().run_in_executor(self._threads, predict, matrix)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # A thread cannot be stopped, and works on for a client that left: its slot stays in use.
            await asyncio.wait([work])
            raise

    def _note(self, model: Model, matrix: Matrix, prediction: Prediction) -> None:
        counts = np.bincount(prediction.labels, minlength=len(model.labels)).tolist()
        for counter, count in zip(self._counters, counts, strict=True):
            if count:
                counter.inc(count)
        confidence = prediction.confidence
        if self._monitor is not None:
            self._monitor.observe(matrix, confidence)
        commonest = model.labels[counts.index(max(counts))]
        probability = round(float(confidence.mean()), 6)
        self.tally.batches += 1
        self.tally.rows += len(prediction.labels)
        self.tally.last_unix_ms = time_ns() // 1_000_000
        annotate(prediction={"label": commonest, "probability": probability})
        if names := self.settings.drift.segments:
            annotate(segments=segments_of(model.schema.features, names, matrix))


def make_monitor(artefact: Artefact, settings: Settings) -> ModelMonitor:
    """What watches the model of an artefact.

    Raises:
        BadReferenceError: its reference does not read, or is of other features.
    """
    manifest = artefact.manifest
    return ModelMonitor(
        manifest.name,
        manifest.version,
        load_reference(artefact.path / REFERENCE),
        categories=[feature.categories for feature in manifest.features],
        labels=[str(label) for label in manifest.classes],
        significance=settings.drift.significance,
        accuracy=_held_out_accuracy(manifest),
    )


def _held_out_accuracy(manifest: Manifest) -> float | None:
    accuracy: float | None = manifest.metrics.get("held_out", {}).get("accuracy")
    return accuracy


@asynccontextmanager
async def while_client_stays(receive: Receive) -> AsyncIterator[None]:
    """Break the block off when the client closes its connection.

    Raises:
        RequestError: 499, it did.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 (a coroutine always runs in a task)
    gone = False

    async def watch(cancel: Callable[[], object]) -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        cancel()

    watcher = asyncio.create_task(watch(task.cancel))
    try:
        yield
    except asyncio.CancelledError:
        if gone and not task.uncancel():
            raise client_gone() from None
        raise
    finally:
        watcher.cancel()
