"""A replica: one loaded model, its slots, and whether it may be sent requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter_ns, time_ns
from typing import Final, Literal, TypeAlias

import numpy as np
from prometheus_client import CollectorRegistry, Counter
from starlette.types import Receive

from service.adoption import find_model
from service.artefact import ArtefactError, Manifest
from service.body import client_gone
from service.features import Matrix, Schema
from service.predict import Prediction, Predictor, load_predictor
from service.problems import Detail, RequestError
from service.slots import SlotMetrics, Slots
from tidegate.settings import Device, Settings
from tidegate.telemetry import annotate, get_logger, span

Work: TypeAlias = Literal["light", "medium", "heavy"]
Phase: TypeAlias = Literal["loading", "ready", "draining", "failed"]

WORKS: Final[tuple[Work, ...]] = ("light", "medium", "heavy")
MEDIUM_ROWS: Final = 32
# Handing work to a thread and back costs about 50 µs: four times what one row takes, a third of what 32
# take, and nothing beside 256, in whose 2 ms the other slot can use the other core (bench/inference.py).
INLINE_ROWS: Final = 32

log = get_logger("service")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that is loaded."""

    manifest: Manifest
    schema: Schema
    predictor: Predictor
    labels: tuple[str, ...]


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
    """

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self.settings: Final = settings
        self.phase: Phase = "loading"
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
        self._predictions = Counter(
            "tidegate_predictions_total",
            "Rows answered, by the label that was given.",
            ("model", "version", "label"),
            registry=registry,
        )
        self._counters: list[Counter] = []
        self._threads = ThreadPoolExecutor(slots.per_replica, thread_name_prefix="slot")

    async def load(self) -> None:
        """Load the model and become ready; on failure, `phase` and `reason` tell."""
        model = self.settings.model
        try:
            artefact = await find_model(model.path, self.settings.stack.data_dir)
            predictor = await asyncio.to_thread(load_predictor, artefact)
        except (ArtefactError, OSError) as error:
            self.phase, self.reason = "failed", str(error)
            # The reason says it all: a traceback would only bury it.
            log.error("model refused", model={"path": str(model.path)}, reason=str(error))  # noqa: TRY400
            return
        manifest = artefact.manifest
        labels = tuple(str(label) for label in manifest.classes)
        # Made now, so that each label's series is there from 0 on.
        self._counters = [
            self._predictions.labels(manifest.name, manifest.version, label) for label in labels
        ]
        self.loaded = Model(manifest, Schema(manifest.features), predictor, labels)
        if self.phase == "loading":
            self.phase = "ready"
        log.info("model loaded", model={"name": manifest.name, "version": manifest.version})

    def drain(self) -> None:
        """Ask for no more requests. Those that come all the same are answered."""
        self.phase = "draining"

    def close(self) -> None:
        """Give up the threads."""
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
            RequestError: 503 no slot in time; 499 the client left, and its slot is free again.
        """
        kind = work or work_of(len(matrix))
        manifest = model.manifest
        annotate(
            model={"name": manifest.name, "version": manifest.version},
            rows=len(matrix),
            work=kind,
        )
        seconds = device_seconds(self.settings.device, kind)
        if not seconds and self.slots.has_free and len(matrix) <= INLINE_ROWS:
            prediction = await self._work(model, matrix, 0.0)  # over before anyone could leave
        else:
            async with while_client_stays(receive):
                prediction = await self._work(model, matrix, seconds)
        self._note(model, prediction)
        return Answer(prediction, kind, self.settings.device.simulated)

    async def _work(self, model: Model, matrix: Matrix, seconds: float) -> Prediction:
        with span("slot.wait"):
            slot = await self.slots.acquire()
        with slot:
            annotate(queue_ns=slot.waited_ns)
            start_ns = perf_counter_ns()
            with span("model.predict", rows=len(matrix)):
                if len(matrix) <= INLINE_ROWS:
                    prediction = model.predictor.predict(matrix)
                else:
                    loop = asyncio.get_running_loop()
                    predict = model.predictor.predict
                    prediction = await loop.run_in_executor(self._threads, predict, matrix)
            if seconds:
                with span("device.simulated", seconds=seconds):
                    spent = (perf_counter_ns() - start_ns) / 1e9
                    await asyncio.sleep(max(0.0, seconds - spent))
            self.tally.slot_ns += perf_counter_ns() - start_ns
        self.tally.queue_ns += slot.waited_ns
        return prediction

    def _note(self, model: Model, prediction: Prediction) -> None:
        counts = np.bincount(prediction.labels, minlength=len(model.labels)).tolist()
        for counter, count in zip(self._counters, counts, strict=True):
            if count:
                counter.inc(count)
        commonest = model.labels[counts.index(max(counts))]
        probability = round(float(prediction.confidence.mean()), 6)
        self.tally.batches += 1
        self.tally.rows += len(prediction.labels)
        self.tally.last_unix_ms = time_ns() // 1_000_000
        annotate(prediction={"label": commonest, "probability": probability})


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
