"""A model with its reference, and its artefact folder as far as a report reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from tidegate.monitoring.counting.reference import (
    Calibration,
    FeatureReference,
    Reference,
    Residuals,
)
from tidegate.monitoring.tasks.model import Model

HELD_OUT: Final = Residuals(
    mean_absolute_error=4.0,
    root_mean_squared_error=5.0,
    deviation=3.0,
    half_width=10.0,
    coverage=0.9,
    held_out_coverage=0.91,
    predicted=(0.0, 60.0),
    expected=(2.0, 8.0),
    samples=2000,
)


def calibrated_model() -> Model:
    """Of a number and a category, calibrated so that it is as right as it is sure."""
    features = (
        FeatureReference(
            name="x",
            kind="number",
            edges=(0.0, 1.0, 2.0),
            bins=("under", "0", "1", "over", "missing"),
            counts=(0, 500, 500, 0, 0),
        ),
        FeatureReference(
            name="carrier", kind="category", bins=("AA", "UA", "other", "missing"),
            counts=(700, 300, 0, 0),
        ),
    )  # fmt: skip
    curve = Calibration(confidence=(0.5, 1.0), correct=(0.5, 1.0), samples=100)
    reference = Reference(
        samples=1000, features=features, calibration=curve, predictions=(200, 800)
    )
    return Model("flights", "v1", ("late", "on_time"), 0.8, reference)


def regressor() -> Model:
    """Of a number and a category, in minutes, with a mean absolute error of 4 and an interval of ± 10."""
    bins = FeatureReference(
        name="prediction",
        kind="number",
        edges=(0.0, 20.0, 40.0, 60.0),
        bins=("under", "0", "1", "2", "over", "missing"),
        counts=(0, 800, 800, 400, 0, 0),
    )
    features = calibrated_model().reference.features
    reference = Reference(samples=1000, features=features, prediction=bins, residuals=HELD_OUT)
    return Model("durations", "v1", (), None, reference, unit="min")


def write_artefact(folder: Path, model: Model) -> None:
    """The artefact folder of a model, as far as a report looks into it."""
    folder.mkdir()
    manifest = {
        "name": model.name,
        "version": model.version,
        "features": [{"name": "x"}, {"name": "carrier", "kind": "category"}],
        "classes": list(model.labels),
        "inputs": "none",
        "files": {},
        "metrics": {"held_out": {"accuracy": model.accuracy}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "reference.json").write_text(model.reference.model_dump_json())
