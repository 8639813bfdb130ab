"""Labelled rows, their events, and findings on a classifier and a regressor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from support.samples.model_artefacts import calibrated_model, regressor
from tidegate.events.event import Event, Origin, make_event
from tidegate.monitoring.counting.distributions import (
    feature_distributions,
    prediction_distribution,
)
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.report.findings import Counters, Findings, build_findings
from tidegate.monitoring.tasks.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.periods import Period
from tidegate.monitoring.tasks.registry import make_task
from tidegate.settings import Drift

PERIODS = [Period("Mar", 0, 10), Period("<Apr>", 10, 20)]
SPAN = Period("all", 0, 20)
CLASSIFIER, REGRESSOR = calibrated_model(), regressor()
ALERT = FiredAlert("DriftFeatureCritical", "x", "critical", 12, 15)
ORIGIN = Origin("flights", "1", "test", "flights-1", "default")


def rows_of(
    answered: Sequence[float],
    right: Sequence[bool],
    confidence: Sequence[float],
    **segments: Sequence[str],
) -> LabelledRows:
    """Rows that were all predicted as `late`."""
    return _rows(
        answered,
        np.full(len(right), "late"),
        np.where(np.array(right, np.bool_), "late", "on_time"),
        segments,
        confidence=np.array(confidence),
    )


def values_of(
    answered: Sequence[float],
    predicted: Sequence[float],
    actual: Sequence[float],
    half_width: float = 10.0,
    **segments: Sequence[str],
) -> LabelledRows:
    """Rows of a regressor whose intervals have this half width."""
    values, true = np.array(predicted, np.float64), np.array(actual, np.float64)
    inside = (np.abs(true - values) <= half_width).astype(np.float64)
    return _rows(answered, values, true, segments, inside=inside)


def _rows(
    answered: Sequence[float],
    predicted: npt.NDArray[Any],
    actual: npt.NDArray[Any],
    segments: Mapping[str, Sequence[str]],
    **known: Floats,
) -> LabelledRows:
    return LabelledRows(
        np.array(answered, np.float64),
        predicted,
        actual,
        np.array([f"{at:032x}" for at in range(len(answered))], np.str_),
        np.arange(len(answered)),
        known,
        {name: np.array(values, np.str_) for name, values in segments.items()},
    )


def labels() -> LabelledRows:
    """200 labels: UA was always right in March and is mostly wrong in April."""
    carriers = (["AA"] * 50 + ["UA"] * 50) * 2
    right = [True] * 80 + [False] * 20 + [False] * 40 + [True] * 60
    return rows_of([5.0] * 100 + [15.0] * 100, right, [0.9] * 200, carrier=carriers)


def values(factor: float, bias: float = 0.0) -> LabelledRows:
    """1000 values whose mean absolute error is 4 in March, and `factor` times that in April."""
    answered = [5.0] * 500 + [15.0] * 500
    predicted = np.linspace(1, 60, 500)
    noise = np.random.default_rng(7).normal(size=500)
    noise -= noise.mean()
    noise *= 4 / np.abs(noise).mean()
    actual = np.concatenate([predicted + noise, predicted + noise * factor]) + bias
    carriers = (["AA"] * 250 + ["UA"] * 250) * 2
    return values_of(answered, [*predicted, *predicted], actual.tolist(), carrier=carriers)


def counters(model: Model, *, drifted: bool = True, predictions: bool = True) -> Counters:
    """What is counted of a model in two periods: its predictions drift, and its feature x if `drifted`."""
    x = (10.0, 1500.0) if drifted else (900.0, 900.0)
    observed: dict[tuple[str, ...], Floats] = {
        ("x", "0"): np.array([900.0, x[0]]),
        ("x", "1"): np.array([900.0, x[1]]),
        ("carrier", "AA"): np.array([1260.0, 0.0]),
        ("carrier", "UA"): np.array([540.0, 0.0]),
    }
    given: dict[tuple[str, ...], Floats] = {
        ("late",): np.array([360.0, 300.0]),
        ("on_time",): np.array([1440.0, 0.0]),
        ("0",): np.array([400.0, 100.0]),
        ("1",): np.array([400.0, 400.0]),
        ("2",): np.array([200.0, 900.0]),
    }
    labelled = prediction_distribution(model.reference, model.labels, given, 2, 0.01)
    return Counters(
        feature_distributions(model.reference, observed, 2, 0.01),
        labelled if predictions else None,
        [ALERT],
    )


def findings(model: Model, rows: LabelledRows, found: Counters | None = None) -> Findings:
    """The findings on a model, with its usual counters unless others are given."""
    return build_findings(
        make_task(model, Drift()), rows, found or counters(model), span=SPAN, periods=PERIODS,
    )  # fmt: skip


def outcome(
    at: float,
    lag: float = 1,
    *,
    version: str = "v1",
    trace: str = "a" * 32,
    span: str = "",
    event_id: str | None = None,
    **changes: Any,
) -> Event:
    """The event of a label that arrives `lag` seconds after the answer at `at`."""
    known = {
        "predicted": "late",
        "actual": "late",
        "correct": True,
        "confidence": 0.9,
        "lag_seconds": lag,
        "row": 0,
    }
    fields: dict[str, Any] = {
        "trace": {"id": trace},
        "tidegate": {
            "model": {"name": "flights", "version": version},
            "outcome": known | changes,
        },
    }
    if span:
        fields["span"] = {"id": span}
    at_ns = int((at + lag) * 1e9)
    return make_event(
        ORIGIN, "outcome", "a label arrived", unix_ns=at_ns, event_id=event_id, fields=fields
    )


def value_outcome(at: float, predicted: object, actual: object, **changes: Any) -> Event:
    """The event of a regressor's label."""
    event = outcome(at, **changes)
    fields = event["tidegate"]["outcome"]
    for name in ("predicted", "actual", "correct", "confidence"):
        del fields[name]
    fields |= {"predicted_value": predicted, "actual_value": actual}
    return event


def request_event(
    at: float, trace: str, segments: object, span: str = "c" * 16, **tidegate: Any
) -> Event:
    """The event of a request with segments."""
    own = {"model": {"name": "flights", "version": "v1"}, "segments": segments}
    fields = {"trace": {"id": trace}, "span": {"id": span}, "tidegate": own | tidegate}
    return make_event(ORIGIN, "request", "answered", unix_ns=int(at * 1e9), fields=fields)
