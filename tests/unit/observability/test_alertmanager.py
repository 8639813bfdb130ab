"""Alertmanager's configuration: every alert reaches the exporter, and what is held back has a reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.rules.alerts import alerts
from tidegate.settings import Settings

PATH = Path(__file__).parents[3] / "observability" / "alertmanager" / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(PATH.read_text())
ALERTS = {alert.name: alert.severity for alert in alerts(Settings())}


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """As Alertmanager matches: every matcher, a pattern anchored at both ends."""
    for matcher in matchers:
        found = re.fullmatch(r'(\w+)(=~|=)"([^"]*)"', matcher)
        assert found, matcher
        name, operator, value = found.groups()
        pattern = value if operator == "=~" else re.escape(value)
        if not re.fullmatch(pattern, labels[name]):
            return False
    return True


def labels(name: str) -> dict[str, str]:
    return {"alertname": name, "severity": ALERTS[name]}


def held_back_by(source: str, target: str) -> bool:
    return any(
        matches(rule["source_matchers"], labels(source))
        and matches(rule["target_matchers"], labels(target))
        and all(labels(source)[name] == labels(target)[name] for name in rule.get("equal", []))
        for rule in CONFIG["inhibit_rules"]
    )


def test_every_alert_goes_to_the_exporter_with_its_end() -> None:
    assert CONFIG["route"]["receiver"] == "events"
    assert "routes" not in CONFIG["route"]
    (receiver,) = CONFIG["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook == {
        "url": f"http://exporter:{Settings().exporter.port}/alerts",
        "send_resolved": True,
    }


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"])
def test_a_rule_that_holds_back_knows_both_of_its_alerts(rule: dict[str, Any]) -> None:
    if rule.get("equal"):
        return  # of any name
    for side in ("source_matchers", "target_matchers"):
        assert [name for name in ALERTS if matches(rule[side], labels(name))]


@pytest.mark.parametrize(
    ("source", "target", "held"),
    [
        ("ServiceAvailabilityBurnFast", "ServiceAvailabilityBurnSlow", True),
        ("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow", True),
        ("ServiceLatencyBurnFast", "ServiceAvailabilityBurnSlow", False),
        ("GatewayDown", "GatewayQueueGrowing", True),
        ("GatewayNoReadyReplica", "ServiceAvailabilityBurnFast", False),
        ("ElasticsearchUnreachable", "LogstashQueueGrowing", True),
        ("ElasticsearchRed", "LogstashDeadLetters", False),
    ],
)
def test_what_a_worse_alert_says_already_is_held_back(source: str, target: str, held: bool) -> None:
    assert held_back_by(source, target) is held


def test_no_alert_holds_back_itself() -> None:
    assert [name for name in ALERTS if held_back_by(name, name)] == []
