"""A request's event has the values of the features that the settings name, and of no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.harnesses.served_app import Serve
from support.samples.model_artefacts import calibrated_model
from tidegate.monitoring.report.labelled_rows import join_outcomes
from tidegate.monitoring.tasks.registry import make_task
from tidegate.service.model.features import Feature
from tidegate.service.model.prediction_recorder import segments_of
from tidegate.settings import Drift

CARRIER = Feature(name="carrier", kind="category", categories=("AA", "UA"), missing=True)
HOUR = Feature(name="hour", kind="integer")


def test_a_number_has_no_segments_and_a_missing_value_none() -> None:
    matrix = np.array([[1, 5], [np.nan, 6]], "f4")
    names = ["hour", "carrier", "unknown"]
    assert segments_of([CARRIER, HOUR], names, matrix) == {"carrier": ["UA", None]}


async def test_an_event_has_no_value_of_a_row_unless_the_settings_name_its_feature(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    for named in ((), ("origin", "carrier")):
        async with serve(drift={"segments": named}) as served:
            await served.client.post("/predict", json={"instances": samples[:2]})
            fields = served.events()[-1]["tidegate"]
        expected = {name: [row[name] for row in samples[:2]] for name in named}
        assert fields.get("segments", {}) == expected


@pytest.mark.parametrize("tracing", ["native", "opentelemetry", "off"])
async def test_requests_of_one_trace_keep_their_own_segments(
    serve: Serve, samples: list[dict[str, Any]], tracing: str
) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    carriers = sorted({row["carrier"] for row in samples})[:2]
    rows = [next(row for row in samples if row["carrier"] == carrier) for carrier in carriers]
    async with serve(
        drift={"segments": ("carrier",)}, telemetry={"tracing": tracing, "sample_ratio": 1.0}
    ) as served:
        for row in rows:
            response = await served.client.post(
                "/predict", json={"instances": [row]}, headers=trace
            )
            (prediction,) = response.json()["predictions"]
            outcome = {name: prediction[name] for name in ("prediction_id", "label")}
            await served.client.post("/feedback", json={"outcomes": [outcome]})
        requests, outcomes = served.events(), served.events("outcome")
    found = join_outcomes(make_task(calibrated_model(), Drift()), outcomes, requests, ["carrier"])
    assert set(found.trace.tolist()) == {"a" * 32}
    assert found.segments["carrier"].tolist() == carriers
