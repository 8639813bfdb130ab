"""A model, its reference and some labelled rows to report on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidegate.drift.reference import Calibration, FeatureReference, Reference
from tidegate.drift.report.findings import Model
from tidegate.drift.report.labelled import Labelled
from tidegate.events import Event, Origin, make_event

ORIGIN = Origin("flights", "1", "test", "flights-1", "default")
MakeEvent = Callable[..., Event]


@pytest.fixture
def model() -> Model:
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


def rows_of(
    answered: Sequence[float],
    right: Sequence[bool],
    confidence: Sequence[float],
    **segments: Sequence[str],
) -> Labelled:
    """Rows that were all answered `late`."""
    return Labelled(
        np.array(answered, np.float64),
        np.full(len(right), "late"),
        np.where(np.array(right, np.bool_), "late", "on_time"),
        np.array(confidence),
        np.array([f"{at:032x}" for at in range(len(right))], np.str_),
        np.arange(len(right)),
        {name: np.array(values, np.str_) for name, values in segments.items()},
    )


@pytest.fixture
def outcome() -> MakeEvent:
    """Makes the event of a label."""

    def make(
        at: float,
        lag: float,
        *,
        version: str = "v1",
        trace: str = "",
        span: str = "",
        event_id: str | None = None,
        **told: Any,
    ) -> Event:
        fields = {
            "predicted": "late",
            "actual": "late",
            "correct": True,
            "confidence": 0.9,
            "lag_seconds": lag,
            "row": 0,
        } | told
        return make_event(
            ORIGIN,
            "outcome",
            "a label arrived",
            unix_ns=int((at + lag) * 1e9),
            event_id=event_id,
            fields={
                "trace": {"id": trace or "a" * 32},
                **({"span": {"id": span}} if span else {}),
                "tidegate": {"model": {"name": "flights", "version": version}, "outcome": fields},
            },
        )

    return make


@pytest.fixture
def request_event() -> MakeEvent:
    """Makes the event of a request that carries segments."""

    def make(at: float, trace: str, segments: object, span: str = "c" * 16) -> Event:
        fields = {
            "trace": {"id": trace},
            "span": {"id": span},
            "tidegate": {"model": {"name": "flights", "version": "v1"}, "segments": segments},
        }
        return make_event(ORIGIN, "request", "answered", unix_ns=int(at * 1e9), fields=fields)

    return make
