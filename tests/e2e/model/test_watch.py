"""A higher error rate in the labels at /feedback is found by the watcher, and an alert fires."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.processes.running_stack import Stack, running
from tidegate.service.model.artefact import SAMPLES, read_manifest

pytestmark = pytest.mark.e2e

LABELS_BEFORE, LABELS_AFTER, BATCH = 400, 300, 50
ALERT = 'ALERTS{alertname="ModelErrorRateChanged",alertstate="firing"}'


class LabelledTraffic:
    """Sends rows to /predict, then labels that make the predictions correct or wrong."""

    def __init__(self, stack: Stack, artefact: Path) -> None:
        self.stack = stack
        self.rows = [json.loads(line) for line in (artefact / SAMPLES).read_bytes().splitlines()]
        labels = read_manifest(artefact).classes
        self.other = {label: labels[1 - labels.index(label)] for label in labels}

    def send(self, count: int, wrong: Callable[[int], bool]) -> None:
        for first in range(0, count, BATCH):
            body = json.dumps({"instances": self.rows[first : first + BATCH]}).encode()
            predictions = self.stack.send("/predict", body).body["predictions"]
            outcomes = [
                {
                    "prediction_id": one["prediction_id"],
                    "label": self.other[one["label"]] if wrong(first + index) else one["label"],
                }
                for index, one in enumerate(predictions)
            ]
            response = self.stack.send("/feedback", json.dumps({"outcomes": outcomes}).encode())
            assert response.body["accepted"] == BATCH, response.body


def changes(stack: Stack) -> list[dict[str, Any]]:
    return stack.search("event.dataset:tidegate.drift").hits


def test_a_jump_of_the_error_rate_is_logged_and_the_alert_fires(
    tmp_path: Path, artefact: Path, store_settings: dict[str, Any]
) -> None:
    with running(tmp_path, artefact, store=store_settings) as stack:
        components = {one["id"]: one for one in stack.status()["components"]}
        assert components["watch"]["state"] == "ready"
        eventually(lambda: stack.value('up{job="watch"}') == 1, "Prometheus scrapes the watcher")

        traffic = LabelledTraffic(stack, artefact)
        # About the error rate on held-out rows.
        traffic.send(LABELS_BEFORE, lambda number: number % 5 == 0)
        read = "sum(tidegate_watch_outcomes_total)"
        eventually(lambda: stack.value(read) == LABELS_BEFORE, "every label is read")
        assert changes(stack) == []
        assert stack.query(ALERT) == []

        traffic.send(LABELS_AFTER, lambda number: number % 5 != 0)
        eventually(
            lambda: stack.value(read) == LABELS_BEFORE + LABELS_AFTER, "every label is read, once"
        )
        firing = eventually(
            lambda: (found := stack.query(ALERT)) and len(found) == 2 and found,
            "the alert fires for both detectors",
        )
        version = read_manifest(artefact).version
        assert isinstance(firing, list)
        assert {(one["metric"]["detector"], one["metric"]["version"]) for one in firing} == {
            ("adwin", version),
            ("z", version),
        }
        eventually(lambda: len(changes(stack)) >= 2, "the changes are in the store")
    # All events are delivered now; a detector may have found several changes.
    events = changes(stack)
    for event in events:
        drift = event["tidegate"]["drift"]
        assert drift["error_before"] < drift["error_after"]
        assert LABELS_BEFORE < drift["labels"] <= LABELS_BEFORE + LABELS_AFTER
        assert event["service"]["node"]["name"] == "watch"
    files = [file for file in (tmp_path / "data" / "logs").glob("watch.*") if file.stat().st_size]
    # Not the lines about the store, which may not exist yet when the watcher starts.
    lines = {line for file in files for line in file.read_text().splitlines()}
    written = [line for line in lines if '"tidegate.drift"' in line]
    assert len(written) == len(events)
