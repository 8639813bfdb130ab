"""The main job: load arrives, the stack scales, and every request is in the logs, traces and metrics."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack, running
from tidegate.events.event import Event
from tidegate.store.own_fields import own_fields

pytestmark = pytest.mark.e2e

# More than one replica takes.
SECONDS, RATE = 12, 25
PLANNED = SECONDS * RATE
DURATION = "http_server_request_duration_seconds"


@pytest.fixture(scope="module")
def after_load(
    tmp_path_factory: pytest.TempPathFactory, artefact: Path, store_settings: dict[str, Any]
) -> Iterator[tuple[Stack, dict[str, Any]]]:
    """A stack that started with one replica, after the load; and the summary of the load."""
    folder = tmp_path_factory.mktemp("main-job")
    with running(
        folder,
        artefact,
        store=store_settings,
        service={"namespace": folder.name.replace("-", "_")},
        device={"simulated": True},
        replicas={"start": 1},
        autoscaler={"tick_seconds": 2},
        telemetry={"sample_ratio": 0.2},
    ) as stack:
        sent = ("--prometheus", stack.prometheus, "--rows", str(artefact / "samples.ndjson"))
        with stack.load(folder, *sent, phases=constant(SECONDS, RATE)) as load:
            summary = load.summary()
        eventually(
            lambda: stack.search("event.dataset:tidegate.request").total >= summary["answered"],
            "every answered request is in the store",
        )
        yield stack, summary


def find(stack: Stack, query: str, stream: Any = "logs") -> list[Event]:
    found = stack.search(query, 10_000, order="asc", stream=stream)
    assert found.total == len(found.hits)
    return found.hits


def scrape(stack: Stack) -> Iterator[tuple[str, Any]]:
    """The duration histogram's samples of each replica, in OpenMetrics."""
    for replica in stack.status()["replicas"]:
        number = int(replica["id"].rpartition("-")[2])
        request = urllib.request.Request(
            f"http://127.0.0.1:{stack.settings.replicas.first_port + number - 1}/metrics",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
            if family.name == DURATION:
                for sample in family.samples:
                    yield replica["id"], sample


def test_the_autoscaler_scaled_up_from_one_replica(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, summary = after_load
    assert summary["replicas_min"] == 1
    assert summary["replicas_max"] > 1
    decisions = find(stack, "event.dataset:tidegate.decision AND tidegate.decision.reason:up")
    assert decisions, "no decision to go up"
    assert "slot" in decisions[0]["message"]


def test_the_store_has_exactly_one_event_per_answered_request(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, summary = after_load
    answered = sum(
        sample.value for _, sample in scrape(stack) if sample.name == f"{DURATION}_count"
    )
    events = find(stack, "event.dataset:tidegate.request")
    assert len(events) == answered == summary["answered"] == PLANNED
    assert summary["failed"] == 0
    assert len({event["event"]["id"] for event in events}) == len(events)
    assert {event["tidegate"]["work"] for event in events} == {"light", "medium", "heavy"}


def test_every_field_of_its_own_events_is_in_the_mapping(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    events = [*find(stack, "*"), *find(stack, "*", stream="traces")]
    others = {name for event in events for name, _ in own_fields(event).values.values()}
    assert others == set()


def test_every_sampled_trace_has_one_request_event(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    lines = Counter(event["trace"]["id"] for event in find(stack, "event.dataset:tidegate.request"))
    spans = find(stack, "span.kind:server", stream="traces")
    assert spans, "no trace was kept"
    assert [span["trace"]["id"] for span in spans if lines[span["trace"]["id"]] != 1] == []


def test_the_exemplars_in_prometheus_are_traces_in_the_store(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    lines = {event["trace"]["id"] for event in find(stack, "event.dataset:tidegate.request")}
    url = (
        f"{stack.prometheus}/api/v1/query_exemplars?query={DURATION}_bucket"
        "&start=2020-01-01T00:00:00Z&end=2100-01-01T00:00:00Z"
    )
    with urllib.request.urlopen(url, timeout=60) as answer:
        series = json.load(answer)["data"]
    found = {one["labels"]["trace_id"] for each in series for one in each["exemplars"]}
    assert found
    assert found <= lines


def test_the_slowest_request_is_found_by_its_trace_id(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    slowest = max(
        find(stack, "event.dataset:tidegate.request"), key=lambda event: event["event"]["duration"]
    )
    shown = stack.run("tidegate", "trace", slowest["trace"]["id"])
    assert shown.returncode == 0, shown.stderr
    assert "POST /predict" in shown.stdout
    found = stack.run(
        "tidegate", "search", f"trace.id:{slowest['trace']['id']}", "--since", "1h", "--json"
    )
    assert found.returncode == 0, found.stderr
    ids = {json.loads(line)["trace"]["id"] for line in found.stdout.splitlines()}
    assert ids == {slowest["trace"]["id"]}


def test_the_gateway_leaves_no_second_event_of_a_request(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    assert find(stack, "event.dataset:tidegate.access") == []
    waits = [
        event["tidegate"]["gateway"]["queue_ns"] for event in find(stack, 'url.path:"/predict"')
    ]
    assert max(waits) > min(waits) > 0


def test_the_stack_writes_files_only_in_its_data_folder(
    after_load: tuple[Stack, dict[str, Any]],
) -> None:
    stack, _ = after_load
    status = stack.status()
    written = {
        file.path
        for part in [*status["components"], *status["replicas"]]
        if part["pid"]  # the stack does not run Elasticsearch
        for file in psutil.Process(part["pid"]).open_files()
        if file.mode != "r" and ".coverage" not in file.path
    }
    folder = str(stack.settings.stack.data_dir.resolve())
    assert written
    assert [path for path in written if not path.startswith(folder)] == []
