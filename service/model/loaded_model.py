"""A loaded model, and the monitor of its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.monitoring.counting.reference import load_reference
from tidegate.service.model.artefact import REFERENCE, Artefact, Manifest
from tidegate.service.model.inline_rows import inline_rows
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.registry import make_inputs
from tidegate.service.model.predictor import Predictor, open_predictor
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.tasks.contract import Task
from tidegate.settings import Settings


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
