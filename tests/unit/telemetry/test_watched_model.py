"""An application of one's own watches its model: metrics, events and labels."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, HTTPException

from support.harnesses.telemetry_harness import Harness
from tidegate.monitoring.counting.number_bins import number_bins, predicted_value_bins
from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.counting.residuals import calibrate_residuals
from tidegate.runtime.metrics_text import sample_value
from tidegate.telemetry import OutcomeRefusedError

VALUES = np.arange(100.0)
REFERENCE = Reference(
    samples=100,
    features=(number_bins("distance", VALUES),),
    prediction=predicted_value_bins(2 * VALUES),
    residuals=calibrate_residuals(2 * VALUES, 2 * VALUES + np.tile([1.0, -1.0], 50)),
)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    file = tmp_path / "reference.json"
    file.write_text(REFERENCE.model_dump_json())
    return file


def taxi(harness: Harness, reference: Path) -> FastAPI:
    """An application whose model doubles a distance, in a synchronous and an asynchronous endpoint."""
    app = FastAPI()
    watch = harness.instrument(app).model("fares", version="2", reference=reference)

    def answer(rows: list[dict[str, Any]]) -> dict[str, Any]:
        fares = [2.0 * row["distance"] for row in rows]
        return {"fares": fares, "ids": watch.observe(rows, fares)}

    @app.post("/sync")
    def sync_fares(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return answer(rows)

    @app.post("/async")
    async def async_fares(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return answer(rows)

    @app.post("/paid/{prediction_id}")
    def paid(prediction_id: str, fare: float) -> dict[str, Any]:
        try:
            outcome = watch.outcome(prediction_id, fare)
        except OutcomeRefusedError as refusal:
            raise HTTPException(409, str(refusal)) from refusal
        return {"lag": outcome.lag_seconds}

    return app


@pytest.mark.parametrize("path", ["/sync", "/async"])
async def test_a_request_its_label_and_their_metrics(
    harness: Harness, reference: Path, path: str
) -> None:
    app = taxi(harness, reference)
    async with harness.client(app) as client:
        before = (await client.get("/metrics")).text
        assert 'ml_residuals_total{inside="true",model="fares",version="2"} 0.0' in before
        answered = await client.post(path, json=[{"distance": 10.0}, {"distance": 30.0}])
        first, second = answered.json()["ids"]
        for prediction, fare in ((first, 20.5), (second, 75)):
            answered = await client.post(f"/paid/{prediction}", params={"fare": fare})
            assert answered.status_code == 200
        again = await client.post(f"/paid/{first}", params={"fare": 20.5})
        assert again.status_code == 409
        assert "label of this prediction has already been counted" in again.json()["detail"]
        text = (await client.get("/metrics")).text
    for name, value, labels in (
        ("ml_residuals_total", 1, {"inside": "true"}),
        ("ml_residuals_total", 1, {"inside": "false"}),
        ("ml_absolute_error_total", 15.5, {}),
        ("ml_reference_absolute_error", 1, {}),
        ("ml_expected_absolute_error_total", 2, {}),
        ("ml_feedback_refused_total", 1, {"reason": "replayed"}),
        ("ml_feature_observations_total", 0, {"bin": "over", "feature": "distance"}),
    ):
        assert sample_value(text, name, model="fares", version="2", **labels) == value
    request = next(each for each in harness.events("request") if each["url"]["path"] == path)
    own = request["tidegate"]
    assert (own["model"], own["rows"]) == ({"name": "fares", "version": "2"}, 2)
    assert own["prediction"]["value"] == 40.0
    inside, outside = harness.events("outcome")
    assert inside["trace"]["id"] == outside["trace"]["id"] == request["trace"]["id"]
    assert inside["span"]["id"] == request["span"]["id"]
    assert inside["tidegate"]["outcome"]["inside"] is True
    assert outside["tidegate"]["outcome"]["residual"] == 15.0


async def test_unknown_columns_are_logged_once(harness: Harness, reference: Path) -> None:
    app = taxi(harness, reference)
    async with harness.client(app) as client:
        for _ in range(3):
            await client.post("/sync", json=[{"distance": 10.0, "colour": "red"}])
    log = harness.event("app")
    assert log["message"].endswith("the reference: colour (unknown) is ignored")
    assert log["tidegate"]["model"] == {"name": "fares", "version": "2"}


def test_numpy_is_imported_only_for_a_model(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["numpy"] = None  # as if it were not installed
from tidegate.settings import Settings
from tidegate.telemetry import Telemetry
telemetry = Telemetry(Settings(stack={"data_dir": sys.argv[1]}))
try:
    telemetry.model("fares", version="1")
except ImportError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout


def test_a_version_of_a_model_is_watched_once(harness: Harness) -> None:
    telemetry = harness.telemetry()
    for version in ("1", "2"):
        telemetry.model("fares", version=version)
    with pytest.raises(ValueError, match="fares 2 is already watched"):
        telemetry.model("fares", version="2")
