"""The predictor of an artefact: what runs its model."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

import orjson

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.artefact import ONNX, SAMPLES, Artefact, ArtefactError
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.registry import make_inputs
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.python_runtime.in_processes import ProcessPredictor
from tidegate.service.model.python_runtime.in_threads import ThreadPredictor
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.registry import make_task
from tidegate.service.request_errors import RequestError, full_message

TYPICAL_ROWS: Final = 32
"""Rows that a model is tried and measured with."""
TRIED_ROWS: Final = 2
"""Rows of the first prediction: an output that is not one per row shows."""
TRIED_SIZES: Final = (1, 8, 32, 224)
"""Sizes of an axis that differs between requests, of which the graph must run with one."""


class Predictor(Protocol):
    """What runs a model. Thread-safe."""

    @property
    def inputs(self) -> Inputs[Any]:
        """What it takes."""
        ...

    @property
    def task(self) -> Task[Any]:
        """What it answers."""
        ...

    @property
    def problem(self) -> str:
        """Why it cannot predict now; empty if it can."""
        ...

    def predict(self, batch: Any) -> Any:
        """Predict each row of a batch of `inputs`; returns a prediction of `task`."""
        ...

    def close(self) -> None:
        """End what it runs in, if that is its own."""
        ...


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


def load_predictor(
    artefact: Artefact, reference: Reference | None = None, hosting: Hosting = Hosting()
) -> Predictor:
    """The predictor of an artefact, after its first prediction.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    return open_predictor(artefact, reference, hosting)[0]


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
