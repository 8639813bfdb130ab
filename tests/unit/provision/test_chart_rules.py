"""`tidegate setup rules`: the rules as values of the Helm chart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.provision.chart_rules import chart_rules
from tidegate.provision.errors import ProvisionError


def test_the_rules_are_for_the_settings_in_the_values(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "model: {port: 9000}\n"
        "settings: {slo: {latency_seconds: 0.3}, replicas: {min: 3, max: 30}}\n"
    )
    done = CliRunner().invoke(app, ["setup", "rules", "--values", str(values)])
    assert done.exit_code == 0
    found = yaml.safe_load(done.stdout)
    assert found.keys() == {"prometheus"}
    rules = found["prometheus"]["rules"]
    assert rules.keys() == {"service.yml", "model.yml", "alerts.yml"}
    assert r'le=~"0\\.3"' in rules["service.yml"]
    assert "replicas.max is 30" in rules["alerts.yml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("settings: [1]", "settings must be a mapping of sections"),
        ("settings: {slo: 3}", "settings must be a mapping of sections"),
        ("- 1", "settings must be a mapping of sections"),
        ("settings: {slo: {latency: 3}}", "settings: slo.latency: "),
        ("a: {", "is not YAML: "),
        (None, "values.yaml does not exist"),
    ],
)
def test_invalid_values_are_reported(text: str | None, message: str, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    if text is not None:
        values.write_text(text)
    with pytest.raises(ProvisionError) as raised:
        chart_rules(values)
    assert str(values) in str(raised.value)
    assert message in str(raised.value)
