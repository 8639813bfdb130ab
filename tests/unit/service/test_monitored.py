"""The predictions of either protocol are counted for the monitoring of the model."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from support.harnesses.served_app import Serve, Served
from support.samples.flight_requests import EXAMPLE, INFER, tensors


async def series(served: Served) -> dict[str, list[tuple[dict[str, str], float]]]:
    text = (await served.client.get("/metrics")).text
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def test_features_and_confidence_are_counted_from_the_first_scrape_on(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        before = await series(served)
        assert {value for _, value in before["ml_feature_observations_total"]} == {0}
        responses = await served.client.post("/predict", json={"instances": samples[:40]})
        await served.client.post("/predict", json={"instances": samples[:1]})
        after = await series(served)
    observed = after["ml_feature_observations_total"]
    assert {labels["feature"] for labels, _ in observed} == set(samples[0])
    for feature in samples[0]:
        assert sum(value for labels, value in observed if labels["feature"] == feature) == 41
    ((_, expected),) = after["ml_expected_correct_total"]
    mean = sum(row["probability"] for row in responses.json()["predictions"]) / 40
    assert abs(expected / 41 - mean) < 0.1
    ratios = after["ml_prediction_reference_ratio"]
    assert {labels["label"] for labels, _ in ratios} == {"late", "on_time"}
    ((_, accuracy),) = after["ml_reference_accuracy"]
    assert 0.7 < accuracy < 0.9


async def test_requests_of_the_inference_protocol_are_counted(serve: Serve) -> None:
    async with serve() as served:
        response = await served.client.post(INFER, json={"inputs": tensors([EXAMPLE])})
        assert response.status_code == 200
        after = await series(served)
    bins = {
        labels["feature"]: labels["bin"]
        for labels, value in after["ml_feature_observations_total"]
        if value == 1
    }
    assert bins["carrier"] == "UA"
    assert bins["temp"] == "missing"
    assert len(bins) == 15


async def test_a_refused_request_is_not_counted(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        bad = samples[0] | {"dest": "nowhere"}
        assert (await served.client.post("/predict", json={"instances": [bad]})).status_code == 422
        after = await series(served)
    assert {value for _, value in after["ml_feature_observations_total"]} == {0}
