"""The autoscaler's own metrics."""

import math

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.live.metrics import REASONS, Metrics
from tidegate.autoscaler.types import Bounds

BOUNDS = Bounds(0, 9)


async def test_all_series_but_the_number_exist_before_the_first_decision() -> None:
    metrics = Metrics(DecidedNumber(BOUNDS, 20.0))
    async with TestClient(TestServer(metrics.make_app())) as client:
        answer = await client.get("/metrics")
        assert answer.content_type == "text/plain"
        families = text_string_to_metric_families(await answer.text())
    samples = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in families
        for sample in family.samples
    }
    decisions = "tidegate_autoscaler_decisions_total"
    assert {reason for name, reason in samples if name == decisions} == set(REASONS)
    assert math.isnan(samples["tidegate_autoscaler_signal_age_seconds", None])
    # KEDA's metrics-api takes NaN for 0 and removes every replica; without the series it keeps them.
    assert ("tidegate_autoscaler_desired_replicas", None) not in samples


@pytest.mark.parametrize("show_dry_run", [False, True])
async def test_the_number_is_shown_while_it_is_current(show_dry_run: bool) -> None:
    now = 0.0
    decided = DecidedNumber(BOUNDS, 20.0, lambda: now)
    metrics = Metrics(decided, show_dry_run=show_dry_run, clock=lambda: now)

    def value() -> float | None:
        return metrics.registry.get_sample_value("tidegate_autoscaler_desired_replicas")

    for number in (3, 0):
        decided.update(number)
        assert value() == number
    now = 20.0
    assert value() == 0
    now = 20.5
    assert value() is None
    decided.update(4, dry_run=True)
    assert value() == (4 if show_dry_run else None)


async def test_it_is_live_while_ticks_end_with_or_without_a_decision() -> None:
    now = 0.0
    metrics = Metrics(DecidedNumber(BOUNDS, 20.0), clock=lambda: now)
    async with TestClient(TestServer(metrics.make_app())) as client:
        for moment, status in ((19.0, 200), (21.0, 503)):
            now = moment
            assert (await client.get("/live")).status == status
        metrics.observe_tick()
        answer = await client.get("/live")
        assert (answer.status, await answer.json()) == (200, {"status": "live"})
