"""The list of all alerts, and the text of the rule files that Prometheus loads."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tidegate.observability_files.paths import observability_folder
from tidegate.rules.alert import Alert
from tidegate.rules.burn_rates import burn_rate_alerts
from tidegate.rules.drift_rules import (
    FAST,
    INTERVALS,
    WINDOWS,
    drift_recordings,
    reference_recordings,
)
from tidegate.rules.gateway_slots import with_gateway_slots
from tidegate.rules.model_alerts import model_alerts
from tidegate.rules.pipeline_alerts import pipeline_alerts
from tidegate.rules.promql import duration
from tidegate.rules.quality_rules import quality_recordings
from tidegate.rules.ray_signals import with_ray_signals
from tidegate.rules.recording import Group
from tidegate.rules.service_alerts import service_alerts
from tidegate.rules.service_rules import service_groups
from tidegate.settings import Drift, Settings

ALERT_GROUP: Final = "alerts"
ALERT_INTERVAL_SECONDS: Final = 5.0


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """Every alert, for these settings."""
    return (
        *burn_rate_alerts(settings.slo),
        *service_alerts(settings),
        *pipeline_alerts(),
        *model_alerts(settings.drift),
    )


def model_groups(drift: Drift) -> tuple[Group, ...]:
    """The recorded series about the model; a later group uses series of an earlier one.

    What is divided by each other is in one group: two groups are evaluated at their own times, and one would
    have counted rows that the other has not.
    """
    return (
        Group("model-reference", tuple(reference_recordings()), INTERVALS[FAST]),
        *(
            Group(
                f"model-{window}",
                (*drift_recordings(window, drift), *quality_recordings(window, drift)),
                INTERVALS[window],
            )
            for window in WINDOWS
        ),
    )


MODEL_GROUPS: Final = tuple(group.name for group in model_groups(Drift()))


def rule_files(settings: Settings) -> dict[str, str]:
    """Return the name and text of each generated rule file."""
    service = service_groups(settings.slo)
    if settings.replicas.command:
        service = with_gateway_slots(service, settings.slots.per_replica)
    service = with_ray_signals(service, settings.ray)
    return {
        "service.yml": recording_rules(service),
        "model.yml": recording_rules(model_groups(settings.drift)),
        "alerts.yml": alerting_rules(alerts(settings)),
    }


def write_rule_files(settings: Settings, folder: Path) -> None:
    """Replace the content of a folder by the rule files.

    Files in observability/prometheus/rules/ that are not generated are copied: users may add their own.

    Raises:
        FileNotFoundError: observability/ is missing.
        OSError: the folder cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted((observability_folder() / "prometheus" / "rules").glob("*.yml")):
        shutil.copy(path, folder)
    for name, text in rule_files(settings).items():
        (folder / name).write_text(text, encoding="utf-8")


def recording_rules(groups: Iterable[Group]) -> str:
    """The text of a file of recording rules."""
    return _text([_group(group) for group in groups])


def alerting_rules(of: Iterable[Alert]) -> str:
    """The text of the file of alerts."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expression,
            **({"for": duration(alert.seconds)} if alert.seconds else {}),
            "labels": {"severity": alert.severity},
            "annotations": alert.annotations,
        }
        for alert in of
    ]
    interval = duration(ALERT_INTERVAL_SECONDS)
    return _text([{"name": ALERT_GROUP, "interval": interval, "rules": rules}])


def _text(groups: list[dict[str, Any]]) -> str:
    from tidegate.rules.yaml_text import to_yaml  # noqa: PLC0415  3 MB, which the console does without

    return to_yaml({"groups": groups})


def _group(group: Group) -> dict[str, Any]:
    interval = group.interval_seconds
    return {
        "name": group.name,
        **({"interval": duration(interval)} if interval else {}),
        "rules": [{"record": each.name, "expr": each.expression} for each in group.recordings],
    }
