"""A loaded model, and the monitor of its predictions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
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
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictor import Predictor, make_inputs
from tidegate.service.model.python_predictor import PythonPredictor
from tidegate.service.model.tasks.contract import Task
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
