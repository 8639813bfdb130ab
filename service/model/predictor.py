"""The predictor of an artefact: what runs its model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

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


OpenPredictor: TypeAlias = Callable[[Artefact, Inputs[Any], Task[Any], Hosting], Predictor]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a predictor.

    Attributes:
        name: its name in messages.
        open: opens a predictor.
        tried: whether the model is tried and measured with typical rows when it is loaded. Code in Python
            is not: it may have effects or take long, and never runs on the event loop.
    """

    name: str
    open: OpenPredictor
    tried: bool


def open_onnx(
    artefact: Artefact, inputs: Inputs[Any], task: Task[Any], hosting: Hosting
) -> Predictor:
    """The predictor of an ONNX file."""
    del hosting
    return OnnxPredictor(str(artefact.path / ONNX), inputs, task)


def open_python(
    artefact: Artefact, inputs: Inputs[Any], task: Task[Any], hosting: Hosting
) -> Predictor:
    """The predictor of a class in Python."""
    kind = ProcessPredictor if hosting.run == "process" else ThreadPredictor
    return kind(artefact, inputs, task, hosting)


RUNTIMES: Final[dict[str, Runtime]] = {
    "onnx": Runtime("ONNX Runtime", open_onnx, tried=True),
    "python": Runtime("Python", open_python, tried=False),
}
"""What runs a predictor, for each runtime of a signature."""


def open_predictor(
    artefact: Artefact, reference: Reference | None = None, hosting: Hosting = Hosting()
) -> tuple[Predictor, Any]:
    """The predictor of an artefact after its first prediction, and a batch of typical rows.

    Args:
        artefact: the artefact.
        reference: its reference, such as for the width of a regressor's interval.
        hosting: where code in Python is imported from, and what it runs in.

    Returns:
        The predictor, and the rows; those of a runtime that tries none are a placeholder.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    manifest = artefact.manifest
    if manifest.runtime not in RUNTIMES:
        raise ArtefactError(
            f"{artefact.path} needs the runtime `{manifest.runtime}`, which this version does not have"
        )
    runtime = RUNTIMES[manifest.runtime]
    inputs, task = make_inputs(manifest), make_task(manifest, reference)
    if not runtime.tried:
        return runtime.open(artefact, inputs, task, hosting), inputs.placeholder(1)
    try:
        predictor = runtime.open(artefact, inputs, task, hosting)
        return predictor, _first_prediction(predictor, artefact)
    # The exceptions of runtimes have no common base class.
    except Exception as error:
        file = artefact.path / ONNX
        raise ArtefactError(
            f"{file} cannot be run by {runtime.name}: {full_message(error)}"
        ) from error


def load_predictor(
    artefact: Artefact, reference: Reference | None = None, hosting: Hosting = Hosting()
) -> Predictor:
    """The predictor of an artefact, after its first prediction.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    return open_predictor(artefact, reference, hosting)[0]


def sample_rows(artefact: Artefact, inputs: Inputs[Any]) -> Any | None:
    """Up to `TYPICAL_ROWS` sample rows of the artefact; None if it has no usable ones.

    Equal rows take the same path through a tree ensemble: 32 of them cost a fifth of 32 samples.
    """
    try:
        with (artefact.path / SAMPLES).open("rb") as file:
            return inputs.read([orjson.loads(line) for line in islice(file, TYPICAL_ROWS)])
    except (FileNotFoundError, orjson.JSONDecodeError, RequestError):
        return None


def _first_prediction(predictor: Predictor, artefact: Artefact) -> Any:
    """Predict typical rows, or one row of zeros if there are none; returns them."""
    inputs = predictor.inputs
    samples = sample_rows(artefact, inputs)
    if samples is not None:
        _try(predictor, samples)
        return samples
    for size in TRIED_SIZES:
        rows = inputs.placeholder(size)
        try:
            _try(predictor, rows)
        except RequestError:
            if size == TRIED_SIZES[-1]:
                raise
        else:
            return rows
    raise AssertionError("the last size returns or raises")


def _try(predictor: Predictor, rows: Any) -> None:
    prediction = predictor.predict(predictor.inputs.resize(rows, TRIED_ROWS))
    predictor.task.check(prediction, TRIED_ROWS)
