"""Alertmanager's notifications become events."""

from __future__ import annotations

import json
from typing import Any

from support.samples.alertmanager import alert, notification, resolved
from tidegate.events.event import Origin
from tidegate.exporter.alerts import Notification, alert_event
from tidegate.store.fields import document_address, project

ORIGIN = Origin("flights", "1.2.3", "local", "exporter", "default")


def event_of(sent: dict[str, Any]) -> dict[str, Any]:
    (read,) = Notification.model_validate_json(json.dumps(notification(sent))).alerts
    return alert_event(read, ORIGIN)


def test_a_firing_alert_becomes_an_event() -> None:
    event = event_of(alert())
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
                "labels": alert()["labels"],
            }
        },
    }


def test_its_fields_can_be_searched_except_the_labels() -> None:
    event = event_of(alert())
    assert document_address(event).stream == "logs-tidegate.alerts-default"
    found = project(event)
    for name in ("name", "severity", "status", "fingerprint", "starts_at", "summary", "runbook"):
        assert f"tidegate.alert.{name}" in found
    # Arbitrary labels would become arbitrary fields.
    assert not any("labels" in name for name in found)


def test_a_resolved_alert_is_another_event_at_its_end() -> None:
    event = event_of(resolved())
    assert event["@timestamp"] == "2026-03-01T10:30:00.000000Z"
    assert event["message"] == "GatewayDown is resolved: The gateway does not answer"
    assert event["log"]["level"] == "info"
    assert event["event"]["end"] == "2026-03-01T11:30:00+01:00"
    assert event["event"]["id"] != event_of(alert())["event"]["id"]


def test_a_repeated_notification_is_the_same_event() -> None:
    first = event_of(alert())
    # Alertmanager repeats it every few hours, possibly in another time zone.
    second = event_of(alert(startsAt="2026-03-01T11:00:00.123456+01:00"))
    assert first["event"]["id"] == second["event"]["id"]
    assert first["@timestamp"] == second["@timestamp"]
    again = event_of(alert(startsAt="2026-03-02T10:00:00Z"))
    assert again["event"]["id"] != first["event"]["id"], "it fired again"


def test_a_user_defined_alert_needs_only_a_fingerprint_and_a_start() -> None:
    least = {"status": "firing", "labels": {}, "fingerprint": "x"}
    event = event_of(least | {"startsAt": "2026-03-01T10:00:00Z"})
    assert event["message"] == "unnamed alert is firing"
    assert event["tidegate"]["alert"]["severity"] == "none"
    assert event["log"]["level"] == "warn"
