"""The recorded series where Ray Serve receives the requests, by promtool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.rules.prometheus_config import render_config
from tidegate.rules.ray_signals import ARRIVALS, WAITING
from tidegate.rules.rule_files import write_rule_files
from tidegate.rules.service_rules import BUSY, SLOTS
from tidegate.settings import Settings
from tools.generate.promtool.case_types import STEADY, RecordingCase

pytestmark = pytest.mark.integration


def ray(name: str, deployment: str = "model", more: str = "") -> str:
    return (
        f'ray_serve_{name}{{job="gateway",application="default",deployment="{deployment}"{more}}}'
    )


def responses(code: int) -> str:
    return f'ray_serve_num_http_requests_total{{job="gateway",application="default",status_code="{code}"}}'


def of(metric: str, replica: str) -> str:
    return metric.replace("}", f',replica="{replica}"}}')


# Two proxies, of which one has 5 requests waiting; in two seconds 80 arrive at one and 20 at the other.
# Another deployment has its own.
PROXY = {
    ray("deployment_queued_queries", more=',handle="a"'): f"5{STEADY}",
    ray("deployment_queued_queries", more=',handle="b"'): f"0{STEADY}",
    ray("deployment_queued_queries", "other"): f"50{STEADY}",
    ray("num_router_requests_total", more=',handle="a"'): f"0+80{STEADY}",
    ray("num_router_requests_total", more=',handle="b"'): f"0+20{STEADY}",
    ray("num_router_requests_total", "other"): f"0+500{STEADY}",
    ray("deployment_replica_healthy", more=',replica="a"'): f"1{STEADY}",
    ray("deployment_replica_healthy", more=',replica="b"'): f"1{STEADY}",
    ray("deployment_replica_healthy", more=',replica="c"'): f"0{STEADY}",
    responses(200): f"0+90{STEADY}",
    responses(500): f"0+10{STEADY}",
    of(BUSY, "a"): f"2{STEADY}",
    of(BUSY, "b"): f"1{STEADY}",
    of(SLOTS, "a"): f"2{STEADY}",
    of(SLOTS, "b"): f"2{STEADY}",
}
PROXY_CASES = (
    RecordingCase(
        "Ray's proxies queue",
        PROXY,
        {
            "service:queue:now": 5,
            "service:requests_in_system:now": 8,
            "service:arrival_rate:15s": 50,
            "service:arrival_rate:1m": 50,
            "service:replicas_ready:now": 2,
            "service:gateway_age_seconds:now": 0,
            "service:signal_age_seconds:now": 0,
            "service:error_ratio:5m": 0.1,
        },
    ),
    RecordingCase(
        "no request has arrived yet",
        {ray("deployment_queued_queries"): f"0{STEADY}", BUSY: f"0{STEADY}"},
        {
            "service:arrival_rate:15s": 0,
            "service:arrival_rate:1m": 0,
            "service:queue:now": 0,
            "service:error_ratio:5m": None,
        },
    ),
    RecordingCase(
        "Ray exports nothing",
        {BUSY: f"0{STEADY}"},
        {
            "service:arrival_rate:15s": None,
            "service:queue:now": None,
            "service:requests_in_system:now": None,
            "service:signal_age_seconds:now": None,
        },
    ),
    RecordingCase(
        "no response is an error",
        {responses(200): f"0+90{STEADY}"},
        {"service:error_ratio:5m": 0},
    ),
)
# The evaluation is at 600 s: replica b has been there for 8 s and has counted 40; c ended 6 s ago.
NEW_REPLICA = "_x296 0 10 20 30 40"
# Nothing was scraped from 580 s to 588 s; 20 arrive each two seconds. Of 15 s only the last 10 are known.
GAP = "0+20x289 _x5 5900+20x7"
HAPROXY_CASES = (
    RecordingCase(
        "requests wait in the replicas",
        {
            of(ARRIVALS, "a"): f"0+80{STEADY}",
            of(ARRIVALS, "b"): f"0+20{STEADY}",
            of(WAITING, "a"): f"3{STEADY}",
            of(WAITING, "b"): f"0{STEADY}",
            of(BUSY, "a"): f"2{STEADY}",
            of(BUSY, "b"): f"1{STEADY}",
            'haproxy_backend_current_queue{job="gateway",proxy="model"}': f"0{STEADY}",
            'haproxy_backend_active_servers{job="gateway",proxy="model"}': f"2{STEADY}",
        },
        {
            "service:queue:now": 3,
            "service:requests_in_system:now": 6,
            "service:arrival_rate:15s": 50,
            "service:arrival_rate:1m": 50,
            "service:replicas_ready:now": 2,
            "service:signal_age_seconds:now": 0,
        },
    ),
    RecordingCase(
        "a replica is new",
        {of(ARRIVALS, "a"): f"0+20{STEADY}", of(ARRIVALS, "b"): NEW_REPLICA},
        {"service:arrival_rate:15s": 10 + 40 / 15, "service:arrival_rate:1m": 10 + 40 / 60},
    ),
    RecordingCase(
        "scrapes have failed a window ago",
        {of(ARRIVALS, "a"): GAP},
        {"service:arrival_rate:15s": 110 / 15, "service:arrival_rate:1m": 10},
    ),
    RecordingCase(
        "no replica can be scraped",
        {'haproxy_backend_current_queue{job="gateway",proxy="model"}': f"0{STEADY}"},
        {"service:queue:now": None, "service:arrival_rate:15s": None},
    ),
)


@pytest.mark.parametrize(("ingress", "cases"), [("proxy", PROXY_CASES), ("haproxy", HAPROXY_CASES)])
def test_the_series_of_the_gateway_are_recorded_from_ray(
    record: Any, ingress: str, cases: tuple[RecordingCase, ...]
) -> None:
    record(Settings(ray={"ingress": ingress}), cases)


@pytest.mark.parametrize("ingress", ["proxy", "haproxy"])
@pytest.mark.parametrize("nodes", [None, "/ray/prom_metrics_service_discovery.json"])
def test_prometheus_accepts_the_configuration(
    tmp_path: Path, promtool: Callable[..., None], ingress: str, nodes: str | None
) -> None:
    settings = Settings(
        ray={"ingress": ingress, "application": "a.b-c", "metrics_targets": nodes},
        stack={"data_dir": tmp_path / "data"},
    )
    file = tmp_path / "prometheus.yml"
    file.write_text(render_config(settings))
    write_rule_files(settings, tmp_path / "rules")
    promtool("check", "config", file)
    jobs: dict[str, dict[str, Any]] = {
        job["job_name"]: job for job in yaml.safe_load(file.read_text())["scrape_configs"]
    }
    (targets,) = jobs["model"]["file_sd_configs"]
    assert targets["files"] == [str(tmp_path / "data" / "targets" / "*.json")]
    if nodes:
        assert jobs["gateway"]["file_sd_configs"][0]["files"] == [nodes]
    else:
        assert jobs["gateway"]["static_configs"] == [{"targets": ["127.0.0.1:8405"]}]
