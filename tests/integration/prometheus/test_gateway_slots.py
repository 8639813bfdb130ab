"""Without slots of their own, replicas of a command have those that the gateway counts."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.rules.service_rules import ARRIVALS, BUSY, QUEUE, SLOTS
from tidegate.settings import Settings
from tools.generate.promtool.case_types import STEADY, RecordingCase

pytestmark = pytest.mark.integration

COMMAND = Settings(replicas={"command": ("./server", "{port}")}, slots={"per_replica": 3})


def server(metric: str, name: str, more: str = "") -> str:
    return f'haproxy_server_{metric}{{job="gateway",proxy="model",server="{name}"{more}}}'


# Two replicas are up, a third is down. In two seconds the first answers 20 requests, the second 60. The first
# had 3 requests in progress 40 s ago, else 1. `waiting` belongs to the gateway itself.
GATEWAY = {
    QUEUE: f"5{STEADY}",
    ARRIVALS: f"0+80{STEADY}",
    **{
        server("status", name, ',state="UP"'): f"{state}{STEADY}"
        for name, state in {"model1": 1, "model2": 1, "model3": 0, "waiting": 1}.items()
    },
    server("current_sessions", "model1"): "1x279 3 1x20",
    server("current_sessions", "model2"): f"2{STEADY}",
    server("current_sessions", "model3"): f"0{STEADY}",
    server("current_sessions", "waiting"): f"1{STEADY}",
    server("http_responses_total", "model1", ',code="2xx"'): f"0+20{STEADY}",
    server("http_responses_total", "model2", ',code="2xx"'): f"0+40{STEADY}",
    server("http_responses_total", "model2", ',code="4xx"'): f"0+20{STEADY}",
}
CASES = (
    RecordingCase(
        "replicas report no slots",
        GATEWAY,
        {
            "service:slots_busy:now": 3,
            "service:slots_busy_most:1m": 3,
            "service:slots:now": 6,
            "service:slots_per_replica:now": 3,
            "service:requests_in_system:now": 8,
            "service:signal_age_seconds:now": 0,
            "service:slot_seconds_p95:1m": None,
            "service:completed_rate:15s": 40,
        },
    ),
    RecordingCase(
        "replicas report no slots, and always the same number of requests is in progress",
        {**GATEWAY, server("current_sessions", "model1"): f"1{STEADY}"},
        {"service:slot_seconds_mean:1m": 3 / 40},
    ),
    RecordingCase(
        "the gateway measures the time of each request with a replica",
        {
            **GATEWAY,
            **{
                f'tidegate_gateway_slot_seconds_bucket{{job="model",le="{le}"}}': f"0+{rate}{STEADY}"
                for le, rate in {"0.1": 10, "0.2": 20, "+Inf": 20}.items()
            },
        },
        {"service:slot_objective_seconds_p95:1m": 0.19, "service:slot_seconds_p95:1m": None},
    ),
    RecordingCase(
        "replicas report their slots",
        {**GATEWAY, BUSY: f"1{STEADY}", SLOTS: f"4{STEADY}"},
        {
            "service:slots_busy:now": 1,
            "service:slots:now": 4,
            "service:slots_per_replica:now": 4,
            "service:requests_in_system:now": 6,
        },
    ),
    RecordingCase(
        "no replica is up",
        {QUEUE: f"5{STEADY}", server("status", "model1", ',state="UP"'): f"0{STEADY}",
         server("current_sessions", "model1"): f"0{STEADY}"},
        {
            "service:slots_busy:now": None,
            "service:slots:now": None,
            "service:slots_per_replica:now": None,
            "service:signal_age_seconds:now": None,
        },
    ),
)  # fmt: skip


def test_the_gateway_s_numbers_are_recorded_where_replicas_report_none(record: Any) -> None:
    record(COMMAND, CASES)
