"""Notifications of Alertmanager."""

from __future__ import annotations

from typing import Any


def alert(**changes: Any) -> dict[str, Any]:
    """A firing alert, or what differs from it."""
    return {
        "status": "firing",
        "labels": {"alertname": "GatewayDown", "severity": "critical", "job": "gateway"},
        "annotations": {
            "summary": "The gateway does not answer",
            "description": "Most likely no request gets through.",
            "runbook": "docs/runbooks/GatewayDown.md",
        },
        "startsAt": "2026-03-01T10:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "c0ffee0123456789",
    } | changes


def resolved() -> dict[str, Any]:
    """The same alert, resolved."""
    return alert(status="resolved", endsAt="2026-03-01T11:30:00+01:00")


def notification(*alerts: dict[str, Any]) -> dict[str, Any]:
    """The body of a request, with one firing alert unless others are given."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="GatewayDown"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "events",
        "groupLabels": {"alertname": "GatewayDown"},
        "commonLabels": {"alertname": "GatewayDown", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts or [alert()]),
    }
