"""`tidegate setup rules`: the rules as values of the Helm chart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tidegate.provision import commands


def test_the_rules_are_for_the_settings_in_the_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "model: {port: 9000}\n"
        "settings: {slo: {latency_seconds: 0.3}, replicas: {min: 3, max: 30}}\n"
    )
    assert commands.setup_rules(values) == 0
    found = yaml.safe_load(capsys.readouterr().out)
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
    ],
)
def test_invalid_values_are_reported(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(text)
    assert commands.setup_rules(values) == 2
    error = capsys.readouterr().err
    assert str(values) in error
    assert message in error


def test_a_missing_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.setup_rules(tmp_path / "values.yaml") == 2
    assert capsys.readouterr().err.endswith("values.yaml does not exist\n")
