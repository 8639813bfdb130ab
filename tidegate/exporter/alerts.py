"""Alertmanager's webhook: an alert becomes an event when it fires, and another when it is resolved."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tidegate.events.event import Event, Level, Origin, make_event

DATASET: Final = "alerts"
_LEVELS: Final[dict[str, Level]] = {"critical": "error", "warning": "warn"}
Text = dict[str, str]


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True, str_max_length=65_536)

    status: Literal["firing", "resolved"]
    labels: Text
    annotations: Text = Field(default_factory=dict)
    starts_at: AwareDatetime = Field(alias="startsAt")
    ends_at: AwareDatetime | None = Field(default=None, alias="endsAt")
    fingerprint: str = Field(min_length=1, max_length=200)


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4. Other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    alerts: list[Alert] = Field(max_length=10_000)


def alert_event(alert: Alert, origin: Origin) -> Event:
    """The event of an alert. A repetition has the same id, so it is stored once."""
    name = alert.labels.get("alertname", "unnamed alert")
    severity = alert.labels.get("severity", "none")
    firing = alert.status == "firing"
    ended = None if firing else alert.ends_at
    summary = alert.annotations.get("summary", "")
    state = f"{name} is {alert.status}"
    return make_event(
        origin,
        DATASET,
        f"{state}: {summary}" if summary else state,
        unix_ns=_nanoseconds(ended or alert.starts_at),
        level=_LEVELS.get(severity, "warn") if firing else "info",
        event_id=_event_id(alert),
        fields={
            "event": {
                "kind": "alert",
                "action": alert.status,
                "start": alert.starts_at.isoformat(),
                **({"end": ended.isoformat()} if ended else {}),
            },
            "tidegate": {
                "alert": {
                    "name": name,
                    "severity": severity,
                    "status": alert.status,
                    "starts_at": alert.starts_at.isoformat(),
                    "fingerprint": alert.fingerprint,
                    "summary": summary,
                    "description": alert.annotations.get("description", ""),
                    "runbook": alert.annotations.get("runbook", ""),
                    "labels": alert.labels,
                }
            },
        },
    )


def _event_id(alert: Alert) -> str:
    parts = (alert.fingerprint, alert.starts_at.astimezone(UTC).isoformat(), alert.status)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _nanoseconds(time: datetime) -> int:
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
