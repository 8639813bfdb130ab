"""Prometheus is queried for counters, and the findings say if there are none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from support.samples.drift_report import CLASSIFIER
from tidegate.monitoring.report.findings import query_counters
from tidegate.monitoring.tasks.periods import Period
from tidegate.settings import Drift

PERIODS = [Period("a", 0, 10), Period("b", 10, 20)]
SPAN = Period("all", 0, 20)
ALERT = {"alertname": "DriftFeatureWarning", "feature": "x", "severity": "warning"}

Results = dict[str, list[dict[str, Any]]]


def series(labels: Mapping[str, str], *values: tuple[float, str]) -> dict[str, Any]:
    return {"metric": dict(labels), "values": [list(value) for value in values]}


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, Results]]:
    results: Results = {}

    async def answer(request: web.Request) -> web.Response:
        query = request.query["query"]
        assert "ALERTS" in query or 'model="flights", version="v1"' in query
        return web.json_response(
            {"data": {"result": results.get(query.split("{", maxsplit=1)[0], [])}}
        )

    async with answering(answer) as url:
        yield url, results


async def test_counters_of_replicas_become_distributions(
    prometheus: tuple[str, Results],
) -> None:
    url, results = prometheus
    of = {"feature": "x", "bin": "0"}
    results["ml_feature_observations_total"] = [
        series(of | {"instance": "a"}, (0, "0"), (5, "4"), (15, "6")),
        series(of | {"instance": "b"}, (12, "1")),
    ]
    results["tidegate_predictions_total"] = [series({"label": "late"}, (0, "0"), (5, "4"))]
    results["ALERTS"] = [series(ALERT, (10, "1"))]
    found = await query_counters(url, CLASSIFIER, Drift(), SPAN, PERIODS)
    assert found.error == ""
    assert found.features[0].counts[:, 1].tolist() == [4, 3]
    assert found.predictions is not None
    assert found.predictions.counts.tolist() == [[4, 0], [0, 0]]
    assert [alert.subject for alert in found.alerts] == ["x"]


async def test_without_counters_of_the_model_its_alerts_are_still_found(
    prometheus: tuple[str, Results],
) -> None:
    url, results = prometheus
    results["ALERTS"] = [series(ALERT, (10, "1"))]
    found = await query_counters(url, CLASSIFIER, Drift(), SPAN, PERIODS)
    assert found.error == "Prometheus has no counters of flights v1"
    assert len(found.alerts) == 1
    unreachable = await query_counters("http://127.0.0.1:9", CLASSIFIER, Drift(), SPAN, PERIODS)
    assert "cannot be reached" in unreachable.error


async def test_the_error_says_that_a_model_has_no_reference(
    prometheus: tuple[str, Results],
) -> None:
    url, _ = prometheus
    reference = CLASSIFIER.reference.model_copy(update={"samples": 0})
    bare = replace(CLASSIFIER, reference=reference)
    found = await query_counters(url, bare, Drift(), SPAN, PERIODS)
    assert "flights v1 has no drift reference" in found.error
