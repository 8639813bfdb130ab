"""Faults: killed replicas and bad requests lose nothing and are reported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.processes.running_stack import Answer, Stack, running
from tidegate.store.base import SearchRequest

pytestmark = pytest.mark.e2e

STEADY = """
name = "steady"
description = "Twelve seconds at twenty a second, light requests."
arrivals = "even"
weights = { light = 1 }
phases = [{ kind = "constant", seconds = 12, rate = 20 }]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    with running(
        tmp_path_factory.mktemp("faults"),
        artefact,
        replicas={"start": 2, "min": 2},
        device={"simulated": True},
    ) as started:
        yield started


def example_of_the_readme() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text()
    found = re.search(r"curl[^\n]*127\.0\.0\.1:8000/predict.*?-d '(.*?)'", text, re.DOTALL)
    assert found, "the README shows no curl to /predict"
    return dict(json.loads(found.group(1)))


def last_event(stack: Stack, trace_id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        store = stack.store()
        try:
            found = store.search(
                SearchRequest(query=f"event.dataset:tidegate.request AND trace.id:{trace_id}")
            )
        finally:
            store.close()
        return found.hits[0] if found.hits else None

    return eventually(look, f"the event of trace {trace_id}")


def trace_of(answer: Answer) -> str:
    return answer.headers["traceresponse"].split("-")[1]


def test_the_example_of_the_readme_works(stack: Stack) -> None:
    answer = stack.send("/predict", json.dumps(example_of_the_readme()).encode())
    assert answer.status == 200, answer.body
    assert answer.body["trace_id"] == trace_of(answer)
    event = last_event(stack, trace_of(answer))
    assert event["http"]["response"]["status_code"] == 200
    assert event["tidegate"]["rows"] == 1


def bad(**changes: Any) -> bytes:
    body = example_of_the_readme()
    body["instances"][0] |= changes
    return json.dumps(body).encode()


def without(field: str) -> bytes:
    body = example_of_the_readme()
    del body["instances"][0][field]
    return json.dumps(body).encode()


BAD_BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "not JSON": ({"body": lambda: b"{instances"}, "body"),
    "empty": ({"body": lambda: b""}, "body"),
    "missing field": ({"body": lambda: without("distance")}, "distance"),
    "wrong type": ({"body": lambda: bad(distance="far")}, "distance"),
    "NaN": ({"body": lambda: bad(distance=float("nan"))}, "body"),
    "unknown airport": ({"body": lambda: bad(origin="XXX")}, "origin"),
    "a million rows": ({"body": lambda: b'{"instances":[' + b"{}," * 999_999 + b"{}]}"}, "body"),
    "five megabytes": ({"body": lambda: bad(origin="E" * 5 * 2**20)}, "body"),
    "wrong content type": (
        {"body": bad, "content_type": "text/csv"},
        "content-type",
    ),
    "wrong method": ({"body": lambda: None, "method": "GET"}, ""),
}


@pytest.mark.parametrize("kind", BAD_BODIES)
def test_a_bad_request_gets_a_4xx_that_names_the_field_and_an_event(
    stack: Stack, kind: str
) -> None:
    request, field = BAD_BODIES[kind]
    answer = stack.send("/predict", **{**request, "body": request["body"]()})
    assert 400 <= answer.status < 500, answer
    detail = answer.body["detail"]
    assert field in json.dumps(detail).lower()
    if "traceresponse" in answer.headers:
        event = last_event(stack, trace_of(answer))
        assert event["http"]["response"]["status_code"] == answer.status
        assert event["log"]["level"] == "warn"
        assert event["error"]["message"]
    else:  # refused by the gateway, before it reached a replica
        assert answer.status == 413

        def refused() -> bool:
            store = stack.store()
            try:
                query = "event.dataset:tidegate.access AND http.response.status_code:413"
                return store.search(SearchRequest(query=query)).total > 0
            finally:
                store.close()

        assert eventually(refused, "the gateway's access line")


def test_killing_a_replica_under_load_fails_no_request_and_loses_no_event(
    stack: Stack, tmp_path: Path, artefact: Path
) -> None:
    scenario = tmp_path / "steady.toml"
    scenario.write_text(STEADY)
    victim = next(one for one in stack.status()["replicas"] if one["id"].endswith("-1"))

    def sent_so_far() -> bool:
        store = stack.store()
        try:
            query = f'event.dataset:tidegate.request AND service.node.name:"{victim["id"]}"'
            return store.search(SearchRequest(query=query, size=0)).total > before + 20
        finally:
            store.close()

    before = 0
    store = stack.store()
    before = store.search(
        SearchRequest(
            query=f'event.dataset:tidegate.request AND service.node.name:"{victim["id"]}"'
        )
    ).total
    store.close()
    load = subprocess.Popen(
        [
            *(sys.executable, "-m", "tidegate.loadgen", "run", str(scenario), "--url", stack.url),
            *("--rows", str(artefact / "samples.ndjson"), "--out", str(tmp_path / "runs")),
        ],
        env=stack.environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        eventually(sent_so_far, "the victim has answered some")
        os.kill(victim["pid"], signal.SIGKILL)
        _, errors = load.communicate(timeout=180)
    finally:
        load.kill()
        load.communicate()
    assert load.returncode in {0, 98}, errors
    summary = json.loads((tmp_path / "runs" / "latest" / "summary.json").read_text())
    assert (summary["answered"], summary["failed"]) == (240, 0)

    again = eventually(
        lambda: next(
            (
                one
                for one in stack.status()["replicas"]
                if one["id"] == victim["id"]
                and one["pid"] != victim["pid"]
                and one["state"] == "ready"
            ),
            None,
        ),
        "the killed replica is back",
    )
    assert again["restarts"] >= 1
    assert_every_line_of_the_files_is_in_the_store(stack)


def assert_every_line_of_the_files_is_in_the_store(stack: Stack) -> None:
    lines = [
        json.loads(line)
        for path in stack.settings.log_dir.glob("flights-*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    requests = {
        one["event"]["id"] for one in lines if one["event"]["dataset"] == "tidegate.request"
    }
    assert requests

    def stored() -> set[str]:
        store = stack.store()
        try:
            query = "event.dataset:tidegate.request"
            hits = store.search(SearchRequest(query=query, size=10_000)).hits
        finally:
            store.close()
        return {hit["event"]["id"] for hit in hits}

    eventually(lambda: requests <= stored(), "every line of the event files is in the store")
