"""A loaded model, and the monitor of its predictions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
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
from tidegate.service.model.inline_rows import inline_rows
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.registry import make_inputs
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.python_runtime.in_processes import ProcessPredictor
from tidegate.service.model.python_runtime.in_threads import ThreadPredictor
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.registry import make_task
from tidegate.service.request_errors import RequestError, full_message
from tidegate.settings import Settings

TYPICAL_ROWS: Final = 32
"""Rows that a model is tried and measured with."""
TRIED_ROWS: Final = 2
"""Rows of the first prediction: an output that is not one per row shows."""
TRIED_SIZES: Final = (1, 8, 32, 224)
"""Sizes of an axis that differs between requests, of which the graph must run with one."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model.

    Attributes:
        manifest: the manifest of its artefact.
        inputs: what it takes.
        task: what it answers.
        predictor: what runs it.
        example: a valid instance, for the documentation; None if it is too long to show.
        inline_rows: requests of up to this number of rows run on the event loop, others in a thread.
    """

    manifest: Manifest
    inputs: Inputs[Any]
    task: Task[Any]
    predictor: Predictor
    example: dict[str, Any] | None
    inline_rows: int


def load_model(artefact: Artefact, hosting: Hosting = Hosting()) -> Model:
    """Load the model of an artefact, and measure how many rows it predicts on the event loop.

    Args:
        artefact: the artefact.
        hosting: where code in Python is imported from, and what it runs in.

    Raises:
        ArtefactError: it cannot be loaded.
        BadReferenceError: its reference cannot be read.
    """
    reference = load_reference(artefact.path / REFERENCE)
    predictor, typical = open_predictor(artefact, reference, hosting)
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
    artefact: Artefact, reference: Reference | None = None, hosting: Hosting = Hosting()
) -> tuple[Predictor, Any]:
    """The predictor of an artefact after its first prediction, and a batch of typical rows.

    Args:
        artefact: the artefact.
        reference: its reference, such as for the width of a regressor's interval.
        hosting: where code in Python is imported from, and what it runs in.

    Returns:
        The predictor, and the rows; those of code in Python are a placeholder.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    manifest, file = artefact.manifest, artefact.path / ONNX
    inputs, task = make_inputs(manifest), make_task(manifest, reference)
    if manifest.runtime == "python":
        # It is not tried: it may have effects or take long.
        kind = ProcessPredictor if hosting.run == "process" else ThreadPredictor
        return kind(artefact, inputs, task, hosting), inputs.placeholder(1)
    try:
        predictor = OnnxPredictor(str(file), inputs, task)
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
        *sizes, last = TRIED_SIZES
        for size in sizes:
            with suppress(RequestError):
                return _tried(predictor, inputs.placeholder(size))
        return _tried(predictor, inputs.placeholder(last))
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
