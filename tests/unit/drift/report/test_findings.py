"""What Prometheus has counted is asked for, and its absence is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from tidegate.drift.report.findings import Model, query_counters
from tidegate.drift.report.periods import Period
from tidegate.settings import Drift

PERIODS = [Period("a", 0, 10), Period("b", 10, 20)]
SPAN = Period("all", 0, 20)
ALERT = {"alertname": "DriftFeatureWarning", "feature": "x", "severity": "warning"}

Answers = dict[str, list[dict[str, Any]]]


def series(labels: Mapping[str, str], *values: tuple[float, str]) -> dict[str, Any]:
    return {"metric": dict(labels), "values": [list(value) for value in values]}


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, Answers]]:
    answers: Answers = {}

    async def answer(request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        assert "ALERTS" in query or 'model="flights", version="v1"' in query
        return web.json_response(
            {"data": {"result": answers.get(query.split("{", maxsplit=1)[0], [])}}
        )

    app = web.Application()
    app.router.add_post("/api/v1/{what}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", answers
    await runner.cleanup()


async def test_counters_of_replicas_become_distributions(
    prometheus: tuple[str, Answers], model: Model
) -> None:
    url, answers = prometheus
    of = {"feature": "x", "bin": "0"}
    answers["ml_feature_observations_total"] = [
        series(of | {"instance": "a"}, (0, "0"), (5, "4"), (15, "6")),
        series(of | {"instance": "b"}, (12, "1")),
    ]
    answers["tidegate_predictions_total"] = [series({"label": "late"}, (0, "0"), (5, "4"))]
    answers["ALERTS"] = [series(ALERT, (10, "1"))]
    found = await query_counters(url, model, Drift(), SPAN, PERIODS)
    assert found.error == ""
    assert found.features[0].counts[:, 1].tolist() == [4, 3]
    assert found.predictions is not None
    assert found.predictions.counts.tolist() == [[4, 0], [0, 0]]
    assert [alert.subject for alert in found.alerts] == ["x"]


async def test_a_prometheus_without_the_model_still_knows_its_alerts(
    prometheus: tuple[str, Answers], model: Model
) -> None:
    url, answers = prometheus
    answers["ALERTS"] = [series(ALERT, (10, "1"))]
    found = await query_counters(url, model, Drift(), SPAN, PERIODS)
    assert found.error == "Prometheus has no counters of flights v1"
    assert len(found.alerts) == 1
    away = await query_counters("http://127.0.0.1:9", model, Drift(), SPAN, PERIODS)
    assert "does not respond" in away.error


async def test_a_model_without_a_reference_has_no_distributions_and_that_is_why(
    prometheus: tuple[str, Answers], model: Model
) -> None:
    url, _ = prometheus
    reference = model.reference.model_copy(update={"samples": 0})
    found = await query_counters(url, replace(model, reference=reference), Drift(), SPAN, PERIODS)
    assert found.error == (
        "flights v1 has no drift reference: there were no training rows beside its file"
    )
