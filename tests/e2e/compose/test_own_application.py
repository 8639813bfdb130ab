"""An application of one's own in place of the model service: examples/own-app, by its overlay."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from support.eventually import eventually
from support.processes.compose_stack import Compose

pytestmark = pytest.mark.e2e

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def post(stack: Compose, path: str, body: Any, **headers: str) -> bytes:
    request = urllib.request.Request(
        stack.url("GATEWAY") + path,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **headers},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        content: bytes = response.read()
    return content


def find(stack: Compose, index: str, query: str) -> list[dict[str, Any]]:
    client = stack.elasticsearch()
    client.indices.refresh(index=index)
    found = client.search(index=index, q=query, size=100)["hits"]["hits"]
    return [hit["_source"] for hit in found]


def test_it_is_served_behind_the_gateway(own_application: Compose) -> None:
    filed = json.loads(
        post(own_application, "/tickets", {"text": "I was charged twice", "channel": "mail"})
    )
    assert filed["queue"] == "billing"
    reply = post(own_application, "/replies", {"text": "the app crashes when I start it"})
    assert len(reply.split()) > 5


def test_a_request_and_its_own_spans_are_found_by_their_trace(own_application: Compose) -> None:
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    post(own_application, "/tickets", {"text": "where is the parcel"}, traceparent=parent)
    eventually(
        lambda: find(
            own_application, "logs-tidegate.request-*", f"trace.id:{TRACE} AND url.path:\\/tickets"
        ),
        "the event of the request is in Elasticsearch",
    )
    eventually(
        lambda: find(
            own_application, "traces-tidegate.*", f"trace.id:{TRACE} AND span.name:triage"
        ),
        "the application's own span is in Elasticsearch",
    )
