"""Labels are sent with the ids of /predict, to any replica, and each one is counted once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import Serve, Served
from tidegate.monitoring.feedback.processor import FeedbackProcessor
from tidegate.runtime.metrics_text import sample_value
from tidegate.service.http.app import BLOCK_OUTCOMES, status_of
from tidegate.service.model.features import MAX_DETAILS


async def predict(served: Served, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    response = await served.client.post("/predict", json={"instances": rows})
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


async def send(served: Served, *outcomes: Any) -> httpx.Response:
    return await served.client.post("/feedback", json={"outcomes": list(outcomes)})


def outcome(prediction: dict[str, Any], label: str) -> dict[str, Any]:
    return {"prediction_id": prediction["prediction_id"], "label": label}


async def test_a_label_becomes_an_event_of_its_prediction(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        (prediction,) = await predict(served, samples[:1])
        response = await send(served, outcome(prediction, "late"))
        (request,) = (e for e in served.events() if e["tidegate"]["route"] == "/predict")
        (feedback,) = (e for e in served.events() if e["tidegate"]["route"] == "/feedback")
        (event,) = served.events("outcome")
    assert response.status_code == 200
    assert response.json() == {"accepted": 1, "refused": 0, "detail": []}
    assert event["trace"]["id"] == request["trace"]["id"]
    assert event["span"]["id"] == request["span"]["id"]
    assert event["tidegate"]["model"] == request["tidegate"]["model"]
    fields = event["tidegate"]["outcome"]
    assert (fields["predicted"], fields["actual"]) == (prediction["label"], "late")
    assert fields["correct"] == (prediction["label"] == "late")
    assert event["message"] == f"label late, predicted {prediction['label']}"
    assert fields["confidence"] == pytest.approx(prediction["probability"], abs=1e-6)
    assert feedback["tidegate"]["feedback"] == {"accepted": 1, "refused": 0}


async def test_two_replicas_count_a_label_twice_but_its_events_have_one_id(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    # Both read the key from the data folder.
    async with serve() as one, serve() as other:
        (prediction,) = await predict(one, samples[:1])
        for served in (one, other):
            assert (await send(served, outcome(prediction, "late"))).status_code == 200
        first, second = one.events("outcome")
    assert first["event"]["id"] == second["event"]["id"]


async def test_each_refused_label_has_its_reason(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        first, second = await predict(served, samples[:2])
        forged = {**outcome(second, "late"), "prediction_id": second["prediction_id"][:-4] + "AAAA"}
        unknown, number = outcome(second, "early"), {"prediction_id": 7, "label": "late"}
        response = await send(
            served, outcome(first, "late"), outcome(first, "late"), forged, unknown, number
        )
    assert response.status_code == 207
    body = response.json()
    assert (body["accepted"], body["refused"]) == (1, 4)
    assert [(each["status"], each["type"], each["loc"]) for each in body["detail"]] == [
        (409, "replayed", ["body", "outcomes", 1, "prediction_id"]),
        (403, "forged", ["body", "outcomes", 2, "prediction_id"]),
        (422, "unknown_label", ["body", "outcomes", 3, "label"]),
        (422, "malformed", ["body", "outcomes", 4, "prediction_id"]),
    ]


async def test_a_late_label_gets_410_and_is_counted_as_expired(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve(drift={"label_accept_seconds": 0.001}) as served:
        (prediction,) = await predict(served, samples[:1])
        answered = time.time()
        await eventually_async(lambda: time.time() > answered + 0.001)
        response = await send(served, outcome(prediction, "late"))
        metrics = (await served.client.get("/metrics")).text
        assert not served.events("outcome")
        (event,) = (e for e in served.events() if e["tidegate"]["route"] == "/feedback")
    assert response.status_code == 410
    assert event["error"]["type"] == "expired"
    assert sample_value(metrics, "ml_feedback_refused_total", reason="expired") == 1


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"outcomes": []},
        {"outcomes": "all"},
        {"outcomes": [{"prediction_id": "x", "label": "late"}], "more": 1},
        {"outcomes": [{"prediction_id": "x"}]},
        {"outcomes": [{"prediction_id": "x", "label": "late", "more": 1}]},
        {"outcomes": [{"prediction_id": "x", "label": "late", "value": "late"}]},
        {"outcomes": [7] * (MAX_DETAILS + 1)},
        {"outcomes": [{"prediction_id": "x", "label": "late"}] * 4097},
    ],
)
async def test_a_body_without_a_list_of_outcomes_is_refused(serve: Serve, body: Any) -> None:
    async with serve() as served:
        response = await served.client.post("/feedback", json=body)
    assert response.status_code == 422
    assert list(response.json()) == ["detail"], "no outcome of it was processed"
    assert len(response.json()["detail"]) <= MAX_DETAILS


@pytest.mark.parametrize(
    ("accepted", "refusals", "status"),
    [(3, [], 200), (1, [410], 207), (0, [409, 409], 409), (0, [403, 410], 422)],
)
def test_the_status_of_a_batch_of_labels(accepted: int, refusals: list[int], status: int) -> None:
    assert status_of(accepted, refusals) == status


async def test_other_requests_run_while_many_labels_are_processed(
    serve: Serve, samples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as served:
        processed = 0
        observed: set[int] = set()

        def counting(*arguments: Any) -> Any:
            nonlocal processed
            processed += 1
            return accept(*arguments)

        accept = FeedbackProcessor.accept
        monkeypatch.setattr(FeedbackProcessor, "accept", counting)

        async def observe() -> None:
            while True:
                observed.add(processed)
                await asyncio.sleep(0)

        predictions = await predict(served, samples[: 3 * BLOCK_OUTCOMES])
        observing = asyncio.create_task(observe())
        response = await send(served, *(outcome(each, "late") for each in predictions))
        observing.cancel()
    assert response.json()["accepted"] == 3 * BLOCK_OUTCOMES
    assert {BLOCK_OUTCOMES, 2 * BLOCK_OUTCOMES} <= observed
