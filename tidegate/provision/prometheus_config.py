"""`tidegate setup config`: what Prometheus reads, for the settings in force."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.provision.problems import ProvisionError, reason
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
    """Write prometheus.yml and its rules; a person's own rule files are copied with ours.

    Args:
        settings: those in force.
        folder: made if it is not there.

    Returns:
        What was written, a line each.

    Raises:
        ProvisionError: it cannot be written, or observability/ is not there.
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
