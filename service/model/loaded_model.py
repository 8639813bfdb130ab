"""A loaded model, one in Python too, and the monitor of its predictions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from itertools import islice
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any, Final

import orjson

from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.monitoring.counting.reference import Reference, load_reference
from tidegate.service.model.artefact import (
    ONNX,
    REFERENCE,
    SAMPLES,
    Artefact,
    ArtefactError,
    Manifest,
)
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictions import Prediction
from tidegate.service.model.predictor import Predictor, make_inputs
from tidegate.service.model.predictor_code import import_from, load_predictor
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.python_results import ResultError, listed
from tidegate.service.request_errors import Detail, RequestError, full_message
from tidegate.serving import code_location
from tidegate.settings import Settings

INLINE_SECONDS: Final = 0.0005
"""Longest prediction that may block the event loop."""
INLINE_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
"""Batch sizes to measure. Beyond 128 rows the 50 µs of a thread are negligible."""
TRIES: Final = 5
"""Calls per batch size, of which one must be fast enough: a busy machine may interrupt any call."""
SLOW_SECONDS: Final = 10 * INLINE_SECONDS
"""A prediction of so much CPU time, which no interruption adds to, is not tried again."""
MEASURE_SECONDS: Final = 2.0
"""Time limit of the measurement, which delays readiness; a slower model runs in threads."""
WRONG_RESULT: Final = "predictor_result"
"""The error type of a request for which the predictor returned something invalid."""
TYPICAL_ROWS: Final = 32
"""Rows that a model is tried and measured with."""
TRIED_ROWS: Final = 2
"""Rows of the first prediction: an output that is not one per row shows."""
TRIED_SIZES: Final = (1, 8, 32, 224)
"""Sizes of an axis that differs between requests, of which the graph must run with one."""


def inline_rows(
    predict: Callable[[Any], object],
    resize: Callable[[int], Any],
    clock: Callable[[], float] = perf_counter,
) -> int:
    """The largest number of rows that the model predicts within `INLINE_SECONDS`; 0 if none.

    A thread costs about 50 µs per request, four times the prediction of one row of the flights model. But a
    prediction on the event loop blocks `/ready` and the requests of other slots. So small batches of a fast
    model run on the event loop, and a slow model runs in threads only.

    It stops at the first batch that is too slow, and after `MEASURE_SECONDS`. `resize` makes the batches.
    """
    end = clock() + MEASURE_SECONDS

    def is_fast(batch: Any) -> bool:
        for _ in range(TRIES):
            start, worked = clock(), thread_time()
            if start >= end:
                break
            predict(batch)
            if clock() - start <= INLINE_SECONDS:
                return True
            if thread_time() - worked > SLOW_SECONDS:
                break
        return False

    max_rows = 0
    for count in INLINE_ROWS:
        if not is_fast(resize(count)):
            break
        max_rows = count
    return max_rows


class PythonPredictor(Predictor):
    """Calls the predictor in the calling thread; several threads may call it at once.

    Raises:
        ArtefactError: it cannot be loaded from `app_dir`.
    """

    def __init__(
        self, signature: Signature, app_dir: Path, reference: Reference | None = None
    ) -> None:
        super().__init__(signature, reference)
        import_from(app_dir)
        self._name = signature.predictor
        self._predictor = load_predictor(signature.predictor)

    def predict(self, batch: Any) -> Prediction:
        """Predict each row.

        Raises:
            RequestError: 500, it raised or returned something invalid; the text has no value of the request.
        """
        name, rows = self._name, batch.rows
        try:
            results = self._predictor.predict(rows)
        except BaseException as error:  # noqa: BLE001  also SystemExit, which must not end the thread
            # Without the text of the exception: it may contain values of the request.
            kind, where = type(error).__name__, code_location(error.__traceback__)
            message = f"predict of {name} raised {kind}{f' ({where})' if where else ''}"
            raise _failure(f"{message}: see that line", kind) from None
        try:
            found: Prediction = self.task.from_results(listed(results, len(rows)))
        except ResultError as error:
            raise _failure(f"predict of {name} {error}", WRONG_RESULT) from None
        except Exception as error:  # noqa: BLE001  of a type of its own, which may fail when it is read
            kind = type(error).__name__
            message = f"predict of {name} returned something that cannot be read ({kind})"
            raise _failure(message, WRONG_RESULT) from None
        return found


def _failure(message: str, kind: str) -> RequestError:
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, Detail(("model",), message, kind))


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model."""

    manifest: Manifest
    inputs: Inputs[Any]
    task: Task[Any]
    predictor: Predictor
    example: dict[str, Any] | None
    """A valid instance, for the documentation; None if it is too long to show."""
    inline_rows: int
    """Requests of up to this number of rows run on the event loop, others in a thread."""


def load_model(artefact: Artefact, app_dir: Path = Path()) -> Model:
    """Load the model of an artefact, and measure how many rows it predicts on the event loop.

    A predictor in Python is imported from `app_dir`.

    Raises:
        ArtefactError: it cannot be loaded.
        BadReferenceError: its reference cannot be read.
    """
    reference = load_reference(artefact.path / REFERENCE)
    predictor, typical = open_predictor(artefact, reference, app_dir)
    inputs = predictor.inputs
    return Model(
        artefact.manifest,
        inputs,
        predictor.task,
        predictor,
        example=inputs.example(typical),
        inline_rows=inline_rows(predictor.predict, lambda rows: inputs.resize(typical, rows))
        if artefact.manifest.runtime == "onnx"
        else 0,  # code in Python never runs on the event loop
    )


def open_predictor(
    artefact: Artefact, reference: Reference | None = None, app_dir: Path = Path()
) -> tuple[Predictor, Any]:
    """The predictor of an artefact after its first prediction, and a batch of typical rows.

    Code in Python is not tried, as it may have effects or take long; it has no such rows. The width of a
    regressor's interval is in its reference.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    manifest, file = artefact.manifest, artefact.path / ONNX
    if manifest.runtime == "python":
        return PythonPredictor(manifest, app_dir, reference), None
    if manifest.runtime == "original":
        # By name: it needs what reads model files, which stands above, and no other runtime imports it.
        original = import_module("tidegate.service.artefacts.original")
        opened: Predictor = original.OriginalPredictor(artefact, reference)
        return opened, None
    try:
        predictor = OnnxPredictor(str(file), manifest, reference)
        return predictor, _first_prediction(predictor, artefact)
    # The exceptions of ONNX Runtime have no common base class.
    except Exception as error:
        raise ArtefactError(
            f"{file} cannot be run by ONNX Runtime: {full_message(error)}"
        ) from error


def _first_prediction(predictor: Predictor, artefact: Artefact) -> Any:
    """Predict sample rows, or one row of zeros if there are no usable ones; returns them.

    Equal rows take the same path through a tree ensemble: 32 of them cost a fifth of 32 samples.
    """
    inputs = predictor.inputs
    try:
        with (artefact.path / SAMPLES).open("rb") as file:
            samples = inputs.read([orjson.loads(line) for line in islice(file, TYPICAL_ROWS)])
    except (FileNotFoundError, orjson.JSONDecodeError, RequestError):
        for size in TRIED_SIZES[:-1]:
            with suppress(RequestError):
                return _tried(predictor, inputs.placeholder(size))
        return _tried(predictor, inputs.placeholder(TRIED_SIZES[-1]))
    return _tried(predictor, samples)


def _tried(predictor: Predictor, rows: Any) -> Any:
    prediction = predictor.predict(predictor.inputs.resize(rows, TRIED_ROWS))
    predictor.task.check(prediction, TRIED_ROWS)
    return rows


def make_monitor(artefact: Artefact, settings: Settings) -> ModelMonitor:
    """The drift monitor of the model of an artefact.

    Raises:
        BadReferenceError: its reference cannot be read, or is of other features.
    """
    manifest = artefact.manifest
    return ModelMonitor(
        manifest.name,
        manifest.version,
        load_reference(artefact.path / REFERENCE),
        categories=[feature.categories for feature in make_inputs(manifest).features],
        labels=[str(label) for label in manifest.classes],
        significance=settings.drift.significance,
        accuracy=manifest.held_out_accuracy,
    )
