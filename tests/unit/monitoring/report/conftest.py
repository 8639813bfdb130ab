"""A model, its reference and some labelled rows to report on."""

from __future__ import annotations

from typing import Any

import pytest

from support.samples.drift_report import ORIGIN, MakeEvent
from support.samples.model_artefacts import calibrated_model
from tidegate.events.event import Event, make_event
from tidegate.monitoring.tasks.model import Model


@pytest.fixture
def model() -> Model:
    return calibrated_model()


@pytest.fixture
def outcome() -> MakeEvent:
    """Creates the event of a label."""

    def make(
        at: float,
        lag: float,
        *,
        version: str = "v1",
        trace: str = "",
        span: str = "",
        event_id: str | None = None,
        **changes: Any,
    ) -> Event:
        fields = {
            "predicted": "late",
            "actual": "late",
            "correct": True,
            "confidence": 0.9,
            "lag_seconds": lag,
            "row": 0,
        } | changes
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
    """Creates the event of a request with segments."""

    def make(at: float, trace: str, segments: object, span: str = "c" * 16) -> Event:
        fields = {
            "trace": {"id": trace},
            "span": {"id": span},
            "tidegate": {"model": {"name": "flights", "version": "v1"}, "segments": segments},
        }
        return make_event(ORIGIN, "request", "answered", unix_ns=int(at * 1e9), fields=fields)

    return make
