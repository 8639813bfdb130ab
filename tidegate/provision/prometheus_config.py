"""`tidegate setup config`: the configuration and rules of Prometheus for the current settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.provision.errors import ProvisionError, reason
from tidegate.rules.prometheus_config import render_config
from tidegate.rules.rule_files import write_rule_files
from tidegate.settings import Settings

HOSTS: Final = {
    name: name
    for name in (
        "gateway",
        "collector",
        "autoscaler",
        "watch",
        "exporter",
        "resizer",
        "alertmanager",
    )
}
REPLICAS: Final = "model"
RETENTION_SIZE: Final = "2GB"


def write_config(settings: Settings, folder: Path) -> list[str]:
    """Write prometheus.yml and its rules, including custom rule files.

    Args:
        settings: the settings.
        folder: created if it is missing.

    Returns:
        A line for each written file or folder.

    Raises:
        ProvisionError: the files cannot be written, or observability/ is missing.
    """
    home = folder / "prometheus"
    try:
        write_rule_files(settings, home / "rules")
        text = render_config(
            settings, hosts=HOSTS, dns_name=REPLICAS, retention_size=RETENTION_SIZE
        )
        (home / "prometheus.yml").write_text(text, encoding="utf-8")
    except FileNotFoundError as error:
        raise ProvisionError(str(error)) from error
    except OSError as error:
        raise ProvisionError(f"{folder} cannot be written: {reason(error)}") from error
    rules = len(list((home / "rules").iterdir()))
    return [f"{home / 'prometheus.yml'}: written", f"{home / 'rules'}: {rules} files written"]
