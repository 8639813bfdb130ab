"""The autoscaler's own metrics."""

import math
import re
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from tidegate.autoscaler import types
from tidegate.autoscaler.live.metrics import REASONS, Metrics
from tidegate.autoscaler.policies import hpa


async def test_all_series_exist_before_the_first_decision() -> None:
    async with TestClient(TestServer(Metrics().make_app())) as client:
        answer = await client.get("/metrics")
        assert answer.content_type == "text/plain"
        families = text_string_to_metric_families(await answer.text())
    samples = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in families
        for sample in family.samples
    }
    assert {
        reason
        for name, reason in samples
        if reason and name == "tidegate_autoscaler_decisions_total"
    } == set(REASONS)
    assert math.isnan(samples["tidegate_autoscaler_signal_age_seconds", None])


async def test_openmetrics_is_served_on_request() -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with TestClient(TestServer(Metrics().make_app())) as client:
        answer = await client.get("/metrics", headers=accept)
        assert answer.content_type == "application/openmetrics-text"
        assert (await answer.text()).endswith("# EOF\n")


def test_the_reasons_are_those_of_the_contract_and_of_the_policies() -> None:
    contract = types.Decision.__doc__ or ""
    recorded = re.findall(r"`([a-z-]+)`", contract.split("reason:")[1].split("explanation:")[0])
    assert set(recorded) == set(REASONS)
    source = Path(hpa.__file__).read_text(encoding="utf-8")
    assert all(f'"{reason}"' in source for reason in set(REASONS) - {"paused"})
