"""Alertmanager's notifications become events."""

from __future__ import annotations

import json
from typing import Any

from tidegate.events.event import Origin
from tidegate.exporter.alerts import Notification, alert_event
from tidegate.store.fields import document_address, project

ORIGIN = Origin("flights", "1.2.3", "local", "exporter", "default")
LABELS = {"alertname": "GatewayDown", "severity": "critical", "job": "gateway"}


def events(notification: dict[str, Any]) -> list[dict[str, Any]]:
    read = Notification.model_validate_json(json.dumps(notification))
    return [alert_event(alert, ORIGIN) for alert in read.alerts]


def test_a_firing_alert_becomes_an_event(notification: dict[str, Any]) -> None:
    (event,) = events(notification)
    event_id = event["event"].pop("id")
    assert len(event_id) == 32
    assert event == {
        "@timestamp": "2026-03-01T10:00:00.123456Z",
        "message": "GatewayDown is firing: The gateway does not answer",
        "log": {"level": "error"},
        "ecs": {"version": "8.17.0"},
        "event": {
            "dataset": "tidegate.alerts",
            "kind": "alert",
            "action": "firing",
            "start": "2026-03-01T10:00:00.123456+00:00",
        },
        "service": {
            "name": "flights",
            "version": "1.2.3",
            "environment": "local",
            "node": {"name": "exporter"},
        },
        "data_stream": {"type": "logs", "dataset": "tidegate.alerts", "namespace": "default"},
        "tidegate": {
            "alert": {
                "name": "GatewayDown",
                "severity": "critical",
                "status": "firing",
                "starts_at": "2026-03-01T10:00:00.123456+00:00",
                "fingerprint": "c0ffee0123456789",
                "summary": "The gateway does not answer",
                "description": "Most likely no request gets through.",
                "runbook": "docs/runbooks/GatewayDown.md",
                "labels": LABELS,
            }
        },
    }


def test_its_fields_can_be_searched_except_the_labels(notification: dict[str, Any]) -> None:
    (event,) = events(notification)
    assert document_address(event).stream == "logs-tidegate.alerts-default"
    found = project(event)
    for name in ("name", "severity", "status", "fingerprint", "starts_at", "summary", "runbook"):
        assert f"tidegate.alert.{name}" in found
    assert not any("labels" in name for name in found), (
        "arbitrary labels would become arbitrary fields"
    )


def test_a_resolved_alert_is_another_event_at_its_end(notification: dict[str, Any]) -> None:
    (fired,) = events(notification)
    notification["alerts"][0] |= {"status": "resolved", "endsAt": "2026-03-01T11:30:00+01:00"}
    (resolved,) = events(notification)
    assert resolved["@timestamp"] == "2026-03-01T10:30:00.000000Z"
    assert resolved["message"] == "GatewayDown is resolved: The gateway does not answer"
    assert resolved["log"]["level"] == "info"
    assert resolved["event"]["end"] == "2026-03-01T11:30:00+01:00"
    assert resolved["event"]["id"] != fired["event"]["id"]


def test_a_repeated_notification_is_the_same_event(notification: dict[str, Any]) -> None:
    (first,) = events(notification)
    # Alertmanager repeats it every few hours, possibly in another time zone.
    notification["alerts"][0]["startsAt"] = "2026-03-01T11:00:00.123456+01:00"
    (second,) = events(notification)
    assert first["event"]["id"] == second["event"]["id"]
    assert first["@timestamp"] == second["@timestamp"]
    notification["alerts"][0]["startsAt"] = "2026-03-02T10:00:00Z"
    (third,) = events(notification)
    assert third["event"]["id"] != first["event"]["id"], "it fired again"


def test_a_user_defined_alert_needs_only_a_fingerprint_and_a_start(
    notification: dict[str, Any],
) -> None:
    alert = notification["alerts"][0]
    notification["alerts"] = [
        {"status": "firing", "labels": {}, "fingerprint": "x", "startsAt": alert["startsAt"]}
    ]
    (event,) = events(notification)
    assert event["message"] == "unnamed alert is firing"
    assert event["tidegate"]["alert"]["severity"] == "none"
    assert event["log"]["level"] == "warn"
