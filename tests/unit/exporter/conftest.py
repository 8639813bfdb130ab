"""A notification of Alertmanager, and the statistics of Logstash."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def notification() -> dict[str, Any]:
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
        "alerts": [
            {
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
            }
        ],
    }


@pytest.fixture
def stats() -> dict[str, Any]:
    """The response of `/_node/stats/pipelines` of a Logstash with Tidegate's pipelines, shortened.

    `documents` and `bulk_requests` as logstash-plugins/logstash-output-elasticsearch counts them:
    lib/logstash/plugin_mixins/elasticsearch/common.rb, lib/logstash/outputs/elasticsearch/http_client.rb.
    """

    def output(
        name: str, documents: dict[str, int], **bulk_requests: int | dict[str, int]
    ) -> dict[str, Any]:
        return {
            "id": name,
            "name": "elasticsearch",
            "documents": documents,
            "bulk_requests": bulk_requests,
            "events": {"in": 1},
        }

    return {
        "host": "logstash",
        "version": "9.2.8",
        "pipelines": {
            "main": {
                "events": {"in": 120, "filtered": 118, "out": 117, "duration_in_millis": 5},
                "flow": {"queue_backpressure": {"current": 0.25, "lifetime": 0.1}},
                "plugins": {
                    "inputs": [{"id": "collector", "name": "http"}],
                    "filters": [],
                    "outputs": [
                        output(
                            "events",
                            {
                                "successes": 110,
                                "non_retryable_failures": 5,
                                "retryable_failures": 4,
                            },
                            successes=9,
                            with_errors=2,
                            failures=7,
                            responses={"200": 11, "400": 6, "429": 1},
                        ),
                        output("dead_letters", {"successes": 2}, responses={"200": 1}),
                        {"id": "other", "name": "stdout"},
                    ],
                },
                "queue": {
                    "type": "persisted",
                    "events_count": 3,
                    "queue_size_in_bytes": 4096,
                    "max_queue_size_in_bytes": 536870912,
                },
                "dead_letter_queue": {
                    "queue_size_in_bytes": 1,
                    "max_queue_size_in_bytes": 134217728,
                    "dropped_events": 0,
                },
            },
            "dead-letters": {"events": {"in": 0, "filtered": 0, "out": 0}},
        },
    }
