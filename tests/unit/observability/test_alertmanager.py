"""Alertmanager's configuration: every alert reaches the exporter, and only redundant alerts are inhibited."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.rules.rule_files import alerts
from tidegate.settings import Settings

PATH = Path(__file__).parents[3] / "observability" / "alertmanager" / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(PATH.read_text())
ALERTS = {alert.name: alert.severity for alert in alerts(Settings())}


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Whether all matchers match; Alertmanager anchors a pattern at both ends."""
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


def inhibits(source: str, target: str) -> bool:
    return any(
        matches(rule["source_matchers"], labels(source))
        and matches(rule["target_matchers"], labels(target))
        and all(labels(source)[name] == labels(target)[name] for name in rule.get("equal", []))
        for rule in CONFIG["inhibit_rules"]
    )


def test_every_alert_is_sent_to_the_exporter_when_it_fires_and_when_it_is_resolved() -> None:
    assert CONFIG["route"]["receiver"] == "events"
    assert "routes" not in CONFIG["route"]
    (receiver,) = CONFIG["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook == {
        "url": f"http://exporter:{Settings().exporter.port}/alerts",
        "send_resolved": True,
    }


@pytest.mark.parametrize("rule", CONFIG["inhibit_rules"])
def test_an_inhibition_rule_names_existing_alerts(rule: dict[str, Any]) -> None:
    if rule.get("equal"):
        return  # of any name
    for side in ("source_matchers", "target_matchers"):
        assert [name for name in ALERTS if matches(rule[side], labels(name))]


@pytest.mark.parametrize(
    ("source", "target", "inhibited"),
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
def test_an_alert_inhibits_redundant_ones(source: str, target: str, inhibited: bool) -> None:
    assert inhibits(source, target) is inhibited
