"""The predictor of an artefact: what runs its model."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

import orjson

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.artefact import ONNX, SAMPLES, Artefact, ArtefactError
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.registry import make_inputs
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.registry import make_task
from tidegate.service.request_errors import RequestError

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

    def predict(self, batch: Any) -> Any:
        """Predict each row of a batch of `inputs`; returns a prediction of `task`."""
        ...


OpenPredictor: TypeAlias = Callable[[Artefact, Inputs[Any], Task[Any]], Predictor]


def open_onnx(artefact: Artefact, inputs: Inputs[Any], task: Task[Any]) -> Predictor:
    """The predictor of an ONNX file."""
    return OnnxPredictor(str(artefact.path / ONNX), inputs, task)


RUNTIMES: Final[dict[str, tuple[str, OpenPredictor]]] = {"onnx": ("ONNX Runtime", open_onnx)}
"""What opens a predictor, and its name in messages, for each runtime of a signature."""


def open_predictor(artefact: Artefact, reference: Reference | None = None) -> tuple[Predictor, Any]:
    """The predictor of an artefact after its first prediction, and a batch of typical rows.

    Args:
        artefact: the artefact.
        reference: its reference, such as for the width of a regressor's interval.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    manifest = artefact.manifest
    if manifest.runtime not in RUNTIMES:
        raise ArtefactError(
            f"{artefact.path} needs the runtime `{manifest.runtime}`, which this version does not have"
        )
    name, open_with = RUNTIMES[manifest.runtime]
    try:
        predictor = open_with(artefact, make_inputs(manifest), make_task(manifest, reference))
        return predictor, _first_prediction(predictor, artefact)
    # The exceptions of runtimes have no common base class.
    except Exception as error:
        file = artefact.path / ONNX
        raise ArtefactError(f"{file} cannot be run by {name}: {error}") from error


def load_predictor(artefact: Artefact, reference: Reference | None = None) -> Predictor:
    """The predictor of an artefact, after its first prediction.

    Raises:
        ArtefactError: it cannot be run, or answers something else than its manifest says.
    """
    return open_predictor(artefact, reference)[0]


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
