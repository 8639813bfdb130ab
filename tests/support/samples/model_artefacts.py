"""A model with its reference, and its artefact folder as far as a report reads it."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.drift.report.findings import Model
from tidegate.monitoring.counting.reference import Calibration, FeatureReference, Reference


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
