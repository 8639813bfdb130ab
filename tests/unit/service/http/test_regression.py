"""A regressor behind the same paths: values and intervals, in both protocols, recorded and signed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnxruntime
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.harnesses.served_app import Serve, Served
from support.samples.served_models import NAMES, write_regressor
from tidegate.monitoring.counting.reference import load_reference
from tidegate.service.model.artefact import ONNX, REFERENCE, SAMPLES

INFER = "/v2/models/progression/infer"


@pytest.fixture(scope="module")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "progression"
    write_regressor(folder)
    return folder


@pytest.fixture(scope="module")
def rows(regressor: Path) -> list[dict[str, float]]:
    return [orjson.loads(line) for line in (regressor / SAMPLES).read_bytes().splitlines()]


def computed(regressor: Path, rows: list[dict[str, float]]) -> np.ndarray:
    session = onnxruntime.InferenceSession(regressor / ONNX)
    matrix = np.array([[row[name] for name in NAMES] for row in rows], np.float32)
    values: np.ndarray = session.run(None, {session.get_inputs()[0].name: matrix})[0]
    return values.ravel()


async def predict(served: Served, rows: list[dict[str, float]]) -> dict[str, Any]:
    response = await served.client.post("/predict", json={"instances": rows})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_each_instance_gets_its_value_and_interval(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    async with serve(model=regressor) as served:
        body = await predict(served, rows)
    half_width = load_reference(regressor / REFERENCE).residuals.half_width  # type: ignore[union-attr]
    values = computed(regressor, rows)
    assert list(body) == ["predictions", "model", "work", "device", "trace_id"]
    assert [list(one) for one in body["predictions"]] == [
        ["value", "interval", "prediction_id"]
    ] * len(rows)
    found = np.array([one["value"] for one in body["predictions"]], np.float32)
    assert found.tolist() == values.tolist()
    ends = np.array([one["interval"] for one in body["predictions"]])
    assert ends[:, 0] == pytest.approx(values - half_width, rel=1e-6)
    assert ends[:, 1] == pytest.approx(values + half_width, rel=1e-6)


async def test_numbers_are_answered_in_their_shortest_form(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    async with serve(model=regressor) as served:
        response = await served.client.post("/predict", json={"instances": rows[:1]})
    (value,) = computed(regressor, rows[:1])
    assert f'"value":{value!s},' in response.text  # 206.11607, not 206.1160736083984


async def test_a_regressor_without_residuals_has_no_interval(
    serve: Serve, tmp_path: Path, rows: list[dict[str, float]]
) -> None:
    write_regressor(tmp_path / "model", calibrated=False)
    async with serve(model=tmp_path / "model") as served:
        body = await predict(served, rows[:1])
        metadata = (await served.client.get("/v2/models/progression")).json()
    assert list(body["predictions"][0]) == ["value", "prediction_id"]
    assert [output["name"] for output in metadata["outputs"]] == ["value"]


async def test_true_values_are_accepted_and_counted(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    async with serve(model=regressor) as served:
        predictions = (await predict(served, rows[:3]))["predictions"]
        outcomes = [
            {"prediction_id": one["prediction_id"], name: one["value"] + error}
            for one, error, name in zip(
                predictions, (0, 5.5, 1000), ("label", "value", "value"), strict=True
            )
        ]
        outcomes.append({"prediction_id": predictions[0]["prediction_id"], "label": "late"})
        response = await served.client.post("/feedback", json={"outcomes": outcomes})
        metrics = await series(served)
        events = served.events("outcome")
    assert response.status_code == 207
    report = response.json()
    assert (report["accepted"], report["refused"]) == (3, 1)
    assert "The label should be a number" in report["detail"][0]["msg"]
    assert metrics["ml_residuals_total", "true"] == 2
    assert metrics["ml_residuals_total", "false"] == 1
    residuals = [event["tidegate"]["outcome"]["residual"] for event in events]
    assert all(re.fullmatch(r"label \S+\d, predicted \S+\d", event["message"]) for event in events)
    assert residuals == pytest.approx([0, 5.5, 1000], abs=1e-3)


async def test_predictions_are_counted_by_the_bins_of_the_reference(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    reference = load_reference(regressor / REFERENCE)
    assert reference.prediction is not None
    async with serve(model=regressor) as served:
        before = await series(served)
        await predict(served, rows)
        after = await series(served)
        (event,) = served.events()
    labels = reference.prediction.labels
    assert [before["tidegate_predictions_total", label] for label in labels] == [0] * len(labels)
    values = computed(regressor, rows)
    counts = np.histogram(values, reference.prediction.edges)[0].tolist()
    counts = [
        int((values < reference.prediction.edges[0]).sum()),
        *counts,
        int((values > reference.prediction.edges[-1]).sum()),
        0,
    ]
    assert [after["tidegate_predictions_total", label] for label in labels] == counts
    assert after["ml_expected_absolute_error_total", None] > 0
    assert event["tidegate"]["prediction"] == {
        "label": labels[counts.index(max(counts))],
        "value": pytest.approx(values.mean(), rel=1e-5),
    }


async def series(served: Served) -> dict[tuple[str, str | None], float]:
    """The samples of the model's series, by name and by their label."""
    text = (await served.client.get("/metrics")).text
    return {
        (sample.name, sample.labels.get("label", sample.labels.get("inside"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("model") == "progression"
    }


async def test_tensors_get_the_same_values(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [5, 1], "data": [row[name] for row in rows[:5]]}
        for name in NAMES
    ]
    async with serve(model=regressor) as served:
        plain = (await predict(served, rows[:5]))["predictions"]
        response = await served.client.post(INFER, json={"inputs": inputs})
        named = await served.client.post(
            INFER, json={"inputs": inputs, "outputs": [{"name": "prediction_id"}]}
        )
        unknown = await served.client.post(
            INFER, json={"inputs": inputs, "outputs": [{"name": "label"}]}
        )
        config = (await served.client.get("/v2/models/progression/config")).json()
    value, interval = response.json()["outputs"]
    assert (value["name"], value["datatype"], value["shape"]) == ("value", "FP64", [5])
    assert value["data"] == pytest.approx([one["value"] for one in plain], rel=1e-6)
    assert (interval["name"], interval["shape"]) == ("interval", [5, 2])
    assert interval["data"] == pytest.approx(np.ravel([one["interval"] for one in plain]), rel=1e-6)
    assert len(named.json()["outputs"][0]["data"]) == 5
    assert unknown.status_code == 400
    assert "outputs are value, interval, prediction_id; got 'label'" in unknown.json()["error"]
    assert [output["dims"] for output in config["output"]] == [[-1], [-1, 2]]


async def test_the_document_describes_the_target(
    serve: Serve, regressor: Path, rows: list[dict[str, float]]
) -> None:
    async with serve(model=regressor) as served:
        document = (await served.client.get("/openapi.json")).json()
        page = (await served.client.get("/docs")).text
        body = await predict(served, rows[:2])
    operation = document["paths"]["/predict"]["post"]
    response = operation["responses"]["200"]
    schema = response["content"]["application/json"]["schema"]
    jsonschema.validate(body, {**schema, "components": document["components"]})
    prediction = document["components"]["schemas"]["Prediction"]["properties"]
    assert list(prediction) == ["value", "interval", "prediction_id"]
    assert "Progression after one year [points]" in prediction["value"]["description"]
    assert "probability of 90%" in prediction["interval"]["description"]
    outcome = document["components"]["schemas"]["Outcome"]["properties"]
    assert outcome["label"]["type"] == "number"
    assert "A value for each instance" in response["description"]
    assert "<code>bmi</code>" in page


async def test_a_value_that_is_not_finite_is_null_and_takes_no_label(
    serve: Serve, regressor: Path
) -> None:
    async with serve(model=regressor) as served:
        body = await predict(served, [dict.fromkeys(NAMES, 3e38)])
        (one,) = body["predictions"]
        response = await served.client.post(
            "/feedback", json={"outcomes": [{"prediction_id": one["prediction_id"], "label": 1}]}
        )
        metrics = await series(served)
        request, _ = served.events()
    assert one["value"] is None
    assert one["interval"] == [None, None]
    assert response.status_code == 422
    assert metrics["tidegate_predictions_total", "missing"] == 1
    assert request["tidegate"]["prediction"] == {"label": "missing"}
