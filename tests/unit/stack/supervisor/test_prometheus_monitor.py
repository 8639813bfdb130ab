"""What a stack says about its Prometheus: what it lacks, and the alerts that fire."""

from __future__ import annotations

import json

import pytest

from tidegate.runtime.event_log import EventLog
from tidegate.stack.supervisor.prometheus_monitor import (
    GRACE_SECONDS,
    Loaded,
    PrometheusMonitor,
    difference,
    firing_alerts,
)

SHOULD = Loaded(120, {"gateway": 1, "model": 2})


@pytest.mark.parametrize(
    ("has", "text"),
    [
        (SHOULD, ""),
        (Loaded(120, {"gateway": 1, "model": 2, "own": 3}), ""),
        (Loaded(0, {"gateway": 1, "model": 2}), "Prometheus has loaded 0 of 120 rules"),
        (
            Loaded(119, {"gateway": 1}),
            "Prometheus has loaded 119 of 120 rules and 0 of 2 targets of job model",
        ),
        (
            Loaded(120, {"gateway": 1, "model": 3}),
            "Prometheus has loaded 3 of 2 targets of job model",
        ),
    ],
)
def test_what_prometheus_lacks_is_counted(has: Loaded, text: str) -> None:
    assert difference(SHOULD, has) == text


def alert(name: str, state: str = "firing", **labels: str) -> dict[str, object]:
    return {
        "state": state,
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": f"about {name}"},
    }


def test_firing_alerts_are_read_critical_ones_first() -> None:
    alerts = [
        alert("Drift", severity="warning"),
        alert("Own"),
        alert("Slow", "pending", severity="critical"),
        alert("Lost", severity="critical"),
    ]
    found = firing_alerts(json.dumps({"data": {"alerts": alerts}}))
    assert found is not None
    assert [(one.name, one.severity, one.summary) for one in found] == [
        ("Lost", "critical", "about Lost"),
        ("Drift", "warning", "about Drift"),
        ("Own", "", "about Own"),
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"data": {"alerts": [{}]}}'])
def test_an_answer_that_is_none_has_no_alerts(text: str) -> None:
    assert firing_alerts(text) is None


async def test_while_prometheus_does_not_answer_nothing_changes(event_log: EventLog) -> None:
    answers: dict[str, str] = {}

    async def fetch(url: str, seconds: float) -> str | None:
        return answers.get(url)

    monitor = PrometheusMonitor("http://p", Loaded(1, {}), lambda: 0, fetch, event_log)
    assert await monitor.first_problem(0.0) == "Prometheus at http://p does not answer"
    alerts = {"data": {"alerts": [alert("Lost", severity="critical")]}}
    answers = {"http://p/metrics": "", "http://p/api/v1/alerts": json.dumps(alerts)}
    assert await monitor.first_problem(0.0) == "Prometheus has loaded 0 of 1 rules"
    monitor.clock = iter([0.0, GRACE_SECONDS, GRACE_SECONDS]).__next__
    await monitor.check()
    await monitor.check()
    before = (monitor.problem, [one.name for one in monitor.alerts])
    assert before == ("Prometheus has loaded 0 of 1 rules", ["Lost"])
    answers = {}
    await monitor.check()
    assert (monitor.problem, [one.name for one in monitor.alerts]) == before
    alerts["data"]["alerts"] = []
    answers = {
        "http://p/metrics": "prometheus_rule_group_rules 1\n",
        "http://p/api/v1/alerts": json.dumps(alerts),
    }
    await monitor.check()
    assert (monitor.problem, monitor.alerts) == ("", [])
