"""The cumulative counters that a replica gives to the policy inside Ray."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry

from tidegate.ray.counters import (
    BUSY,
    LATENCY,
    SLOT_SECONDS,
    SLOTS,
    WAITING,
    cumulative_counters,
    edges,
)
from tidegate.serving import SlotMetrics
from tidegate.settings import Slo
from tidegate.telemetry.metrics import RequestMetrics


@pytest.fixture
def metrics() -> RequestMetrics:
    return RequestMetrics(Slo(), lambda: 0, lambda: "flights-1")


@pytest.fixture
def registry(metrics: RequestMetrics) -> CollectorRegistry:
    return metrics.registry


def test_slots_and_their_time_are_counted(registry: CollectorRegistry) -> None:
    slots = SlotMetrics(registry)
    slots.total.set(2)
    slots.busy.set(1)
    slots.seconds.observe(0.03)
    slots.seconds.observe(0.2)
    counters = cumulative_counters(registry, Slo())
    assert (counters[SLOTS], counters[BUSY]) == (2, 1)
    assert counters[f"{SLOT_SECONDS}_count"] == 2
    assert counters[f"{SLOT_SECONDS}_sum"] == pytest.approx(0.23)
    by_edge = edges(counters, SLOT_SECONDS)
    assert [counters[by_edge[edge]] for edge in (0.02, 0.03, 0.2, math.inf)] == [0, 1, 2, 2]
    assert WAITING not in counters, "only behind HAProxy"


def test_the_latency_is_that_of_all_routes_without_server_errors(
    metrics: RequestMetrics, registry: CollectorRegistry
) -> None:
    for route, status, seconds in (("/a", 200, 0.02), ("/b", 404, 0.2), ("/a", 503, 9.0)):
        metrics.observe(route, "GET", status, seconds, None)
    counters = cumulative_counters(registry, Slo())
    assert counters[f"{LATENCY}_count"] == 2
    buckets = {edge: counters[name] for edge, name in edges(counters, LATENCY).items()}
    assert buckets[0.025] == 1
    assert buckets[0.25] == 2
