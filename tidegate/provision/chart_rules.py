"""`tidegate setup rules`: Prometheus' rules as values of the Helm chart, for settings in such values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tidegate.os_errors import os_error_message
from tidegate.provision.errors import ProvisionError
from tidegate.rules.rule_files import rule_files
from tidegate.rules.yaml_text import to_yaml
from tidegate.settings import SettingsError, load


def chart_rules(values: Path) -> str:
    """The values `prometheus.rules` for the settings in a values file, as YAML.

    Args:
        values: a values file of the chart; its `settings` win over all other sources.

    Raises:
        ProvisionError: the file cannot be read, or its settings are invalid.
    """
    settings = _settings(values)
    replicas = settings.setdefault("replicas", {})
    # As the chart does it: a start within the bounds.
    replicas.setdefault("start", max(1, replicas.get("min", 1)))
    try:
        files = rule_files(load(**settings))
    except SettingsError as error:
        raise ProvisionError(f"{values}: settings: {error}") from error
    return to_yaml({"prometheus": {"rules": files}})


def _settings(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ProvisionError(f"--values: {os_error_message(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProvisionError(f"--values: {path} is not YAML: {error}") from error
    settings = values.get("settings", {}) if isinstance(values, dict) else None
    if not isinstance(settings, dict) or not all(
        isinstance(section, dict) for section in settings.values()
    ):
        raise ProvisionError(f"--values: {path}: settings must be a mapping of sections")
    return settings
