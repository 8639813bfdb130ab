"""The rule files follow the settings and do not need the generator."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tidegate.rules.burn_rates import BURN_RATE_ALERTS
from tidegate.rules.rule_files import rule_files
from tidegate.settings import Settings, Slo

SETTINGS = Settings()


def service_rules(settings: Settings) -> dict[str, str]:
    """The expression of each recorded series of the service."""
    groups = yaml.safe_load(rule_files(settings)["service.yml"])["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def test_a_command_that_reports_no_slots_has_those_of_the_gateway() -> None:
    command = {"command": ["serve", "{port}"]}
    own = service_rules(SETTINGS)
    found = service_rules(Settings(replicas=command, slots={"per_replica": 3}))
    slots = "service:slots:now"
    assert found[slots].startswith(f"(\n{own[slots]}\n)\nor\n(\n3 * count(haproxy_server_status{{")
    assert found["service:queue:now"] == own["service:queue:now"]


@pytest.mark.parametrize(
    ("slo", "thresholds"),
    [
        (Slo(), [0.0144, 0.006, 0.72, 0.3]),
        # 14.4 times a budget of 10 % would be more than everything.
        (Slo(latency_quantile=0.9, availability=0.99), [0.144, 0.06, 0.9, 0.6]),
    ],
)
def test_burn_rate_thresholds_follow_the_objective_and_are_reachable(
    slo: Slo, thresholds: list[float]
) -> None:
    budgets = (1 - slo.availability, 1 - slo.latency_quantile)
    found = [burn.threshold(budget) for budget in budgets for burn in BURN_RATE_ALERTS]
    assert found == pytest.approx(thresholds)


def test_the_rules_need_neither_the_generator_nor_grafanas_sdk() -> None:
    code = (
        "import sys, tidegate.stack.prometheus, tidegate.provision.kibana.setup, tidegate.checks.running.run;"
        "assert not {'tools', 'grafana_foundation_sdk'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_command_without_metrics_is_not_down() -> None:
    def replica_down(settings: Settings) -> str:
        (group,) = yaml.safe_load(rule_files(settings)["alerts.yml"])["groups"]
        (found,) = [rule["expr"] for rule in group["rules"] if rule["alert"] == "ReplicaDown"]
        return str(found)

    down = 'up{job="model"} == 0'
    command = Settings(replicas={"command": ["serve", "{port}"]})
    assert replica_down(SETTINGS) == down
    assert replica_down(command) == f'{down}\nand max_over_time(up{{job="model"}}[1h]) == 1'
