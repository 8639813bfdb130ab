"""Failed checks are repeated, and each error becomes a one-sentence result of its component."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.doubles.http_doubles import Serve
from support.ports import free_port
from tidegate.checks.running import programs, prometheus
from tidegate.checks.running.run import CHECKS, run_checks
from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result, failed, ok

ROOT = Path(__file__).parents[4]


async def test_a_failed_check_is_repeated_until_it_passes(target: Any) -> None:
    calls: list[str] = []

    async def passing(_: Target) -> list[Result]:
        calls.append("passing")
        return [ok("a", "")]

    async def slow(_: Target) -> list[Result]:
        calls.append("slow")
        return [ok("b", "")] if calls.count("slow") > 1 else [failed("b", "")]

    results = await run_checks(target(), 30, checks={"Passing": passing, "Slow": slow})
    assert calls == ["passing", "slow", "slow"]
    assert [one.state for found in results.values() for one in found] == ["ok", "ok"]


async def test_an_unreachable_component_is_one_sentence(target: Any, tmp_path: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    sections = {
        "verify": {"kibana_url": url, "grafana_url": url, "console_url": url},
        "exporter": {"logstash_url": url},
        "store": {"kind": "elasticsearch", "elasticsearch": {"url": url}},
        "stack": {"data_dir": tmp_path},
    }
    results = await run_checks(target(url, **sections), 0)
    assert list(results) == list(CHECKS)
    assert results["Programs"][0].state == "skipped"
    for component, (only,) in results.items():
        if component != "Programs":
            assert only.state == "failed"
            assert "cannot be reached: connection refused" in only.text, component


@pytest.mark.parametrize("body", [["what?"], None, 1, "x", {"status": [1]}])
async def test_an_unexpected_response_fails_the_check(serve: Serve, target: Any, body: Any) -> None:
    paths = ("/", "/_health_report", "/api/v1/rules", "/api/status", "/api/health")
    url = await serve({f"GET {path}": (200, body) for path in paths})
    sections = {
        "verify": {"kibana_url": url, "grafana_url": url},
        "exporter": {"logstash_url": url},
    }
    names = ("Logstash", "Prometheus", "Kibana", "Grafana")
    results = await run_checks(
        target(url, **sections), 0, checks={name: CHECKS[name] for name in names}
    )
    for name in names:
        (only,) = results[name]
        assert only.text.startswith("unexpected response: "), name


async def checked(
    serve: Serve, target: Any, pools: list[str], alerts: list[dict[str, Any]]
) -> list[Result]:
    """The checks of a Prometheus without rules and targets."""
    data = {
        "rules": {"groups": []},
        "scrape_pools": {"scrapePools": pools},
        "targets": {"activeTargets": []},
        "alerts": {"alerts": alerts},
    }
    answers = {f"GET /api/v1/{name}": (200, {"data": one}) for name, one in data.items()}
    return await prometheus.check(target(await serve(answers)))


@pytest.mark.parametrize(
    ("labels", "state"),
    [
        ({"alertname": "ReplicaDown", "severity": "critical"}, "failed"),
        ({"alertname": "DriftDataset", "severity": "warning"}, "ok"),
        ({"alertname": "Mine", "severity": "info"}, "ok"),
    ],
)
async def test_a_firing_alert_about_the_stack_fails_and_one_about_the_data_does_not(
    serve: Serve, target: Any, labels: dict[str, str], state: str
) -> None:
    alert = {"state": "firing", "labels": labels, "annotations": {"summary": "look"}}
    targets, rules, alerts = await checked(serve, target, ["model"], [alert])
    assert alerts.state == state
    assert labels["alertname"] in " ".join([alerts.text, *alerts.details])
    assert targets.details == ("model: no target",)
    assert "service:arrival_rate:1m is not loaded" in rules.details


async def test_a_prometheus_without_scrape_jobs_fails(serve: Serve, target: Any) -> None:
    targets, _, _ = await checked(serve, target, [], [])
    assert (targets.state, targets.details) == ("failed", ("there is no scrape job yet",))


async def test_a_memory_peak_near_the_limit_fails(serve: Serve, target: Any) -> None:
    def vector(values: dict[str, float]) -> Any:
        result = [
            {"metric": {"service": name}, "value": [0, str(value * 2**20)]}
            for name, value in values.items()
        ]
        return {"data": {"result": result}}

    responses = iter(
        [vector({"kibana": 950, "gateway": 100}), vector({"kibana": 1000, "gateway": 300})]
    )
    url = await serve({"GET /api/v1/query": lambda _: (200, next(responses))})
    results = await programs.memory(target(url))
    assert [(one.name, one.state, one.text) for one in results] == [
        ("kibana", "failed", "peak 950 of 1000 MiB, 95%"),
        ("gateway", "ok", "peak 100 of 300 MiB, 33%"),
    ]


def test_it_imports_only_packages_that_the_compose_image_has() -> None:
    lock = (ROOT / "locks" / "tidegate.lock").read_text()
    absent = [
        name
        for name in ("starlette", "fastapi", "uvicorn", "onnxruntime", "pandas", "matplotlib")
        if f"\n{name}==" not in lock
    ]
    assert "fastapi" in absent
    # A module that is None in sys.modules cannot be imported.
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent})); import tidegate.checks.commands"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
