"""Bad requests to a whole stack get a 4xx that names the field, and an event."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.processes.running_stack import Answer, Stack, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    with running(
        tmp_path_factory.mktemp("faults"),
        artefact,
        device={"simulated": True},
    ) as started:
        yield started


def example_of_the_readme() -> dict[str, Any]:
    text = (ROOT / "README.md").read_text()
    found = re.search(r"curl[^\n]*127\.0\.0\.1:8000/predict.*?-d '(.*?)'", text, re.DOTALL)
    assert found, "the README shows no curl to /predict"
    return dict(json.loads(found.group(1)))


def last_event(stack: Stack, trace_id: str) -> dict[str, Any]:
    query = f"event.dataset:tidegate.request AND trace.id:{trace_id}"
    return eventually(lambda: stack.search(query).hits, f"the event of trace {trace_id}")[0]


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


# tests/unit/service/http has each kind; these come by other ways through the gateway.
BAD_BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "not JSON": ({"body": lambda: b"{instances"}, "body"),
    "missing field": ({"body": lambda: without("distance")}, "distance"),
    "a million rows": ({"body": lambda: b'{"instances":[' + b"{}," * 999_999 + b"{}]}"}, "body"),
    "five megabytes": ({"body": lambda: bad(origin="E" * 5 * 2**20)}, "body"),
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

        query = "event.dataset:tidegate.access AND http.response.status_code:413"
        eventually(lambda: stack.search(query).total, "the gateway's access line")
