"""Updates of existing data streams, with recorded responses of the data stream API.

The Elasticsearch of the tests has no such API (its module is not in the test distribution); the responses
follow the API reference for 9.2.
"""

from __future__ import annotations

from typing import Any

import pytest

from support.doubles.recorded_elasticsearch import RecordedElasticsearch
from tidegate.provision.elasticsearch.server import connect
from tidegate.provision.elasticsearch.streams import update_stream_mappings, update_stream_retention
from tidegate.provision.errors import ProvisionError
from tidegate.settings import Settings
from tidegate.store.elasticsearch.templates import properties

LIST = "GET /_data_stream/logs-tidegate.*-*,traces-tidegate.*-*"
NAME = "logs-tidegate.app-default"
MAPPINGS = "/logs-tidegate.*-*,traces-tidegate.*-*/_mapping"


KEPT = {"enabled": True, "data_retention": "7d"}
LIFECYCLE = (f"PUT /_data_stream/{NAME}/_lifecycle", {"data_retention": "7d", "enabled": True})
OPTIONS = (f"PUT /_data_stream/{NAME}/_options", {"failure_store": {"enabled": False}})


def stream(lifecycle: dict[str, Any] | None, *, failure_store: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": NAME,
        "timestamp_field": {"name": "@timestamp"},
        "indices": [{"index_name": f".ds-{NAME}-2026.03.01-000001"}],
        "generation": 1,
        "status": "GREEN",
        "template": "logs-tidegate",
        "hidden": False,
        "failure_store": {"enabled": failure_store, "rollover_on_write": False, "indices": []},
    }
    return found if lifecycle is None else {**found, "lifecycle": lifecycle}


def update(settings: Settings) -> list[str]:
    with connect(settings) as client:
        return list(update_stream_retention(client, "7d"))


@pytest.mark.parametrize(
    ("present", "outcome", "changes"),
    [
        (stream(KEPT), "unchanged", []),
        (stream({**KEPT, "data_retention": "3d"}), "changed (retention 3d → 7d)", [LIFECYCLE]),
        (stream({**KEPT, "enabled": False}), "changed (retention 7d → 7d)", [LIFECYCLE]),
        (stream({"enabled": True}), "changed (retention none → 7d)", [LIFECYCLE]),
        (stream(None), "changed (retention none → 7d)", [LIFECYCLE]),
        (stream(KEPT, failure_store=True), "changed (failure store off)", [OPTIONS]),
    ],
)
def test_a_stream_gets_the_retention_of_the_setting_and_no_failure_store(
    recorded: RecordedElasticsearch,
    settings: Settings,
    *,
    present: dict[str, Any],
    outcome: str,
    changes: list[tuple[str, Any]],
) -> None:
    recorded.responses = {request: {"acknowledged": True} for request, _ in changes}
    recorded.responses[LIST] = {"data_streams": [present]}
    assert update(settings) == [f"stream {NAME}: {outcome}"]
    assert recorded.changes() == changes


def test_missing_streams_and_a_missing_api_are_reported(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    (line,) = update(settings)
    assert line.endswith("unchanged, because this build of Elasticsearch has no API for it")
    recorded.responses[LIST] = {"data_streams": []}
    assert update(settings) == ["retention of existing streams: there are none yet"]


def test_a_refusal_names_the_stream(recorded: RecordedElasticsearch, settings: Settings) -> None:
    refusal = {"error": {"type": "illegal_argument_exception", "reason": "too short"}}
    recorded.responses[LIST] = (400, refusal)
    existing = "retention of existing streams: Elasticsearch responds with 400"
    with pytest.raises(ProvisionError, match=existing):
        update(settings)
    recorded.responses[LIST] = {"data_streams": [stream(None)]}
    recorded.responses[LIFECYCLE[0]] = (400, refusal)
    reason = "Elasticsearch responds with 400: illegal_argument_exception: too short"
    with pytest.raises(ProvisionError, match=f"stream {NAME}: {reason}"):
        update(settings)


def test_only_streams_without_a_field_are_updated(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    complete = properties()
    incomplete = {name: part for name, part in complete.items() if name != "message"}
    recorded.responses[f"GET {MAPPINGS}"] = [
        {".ds-one": {"mappings": {"properties": complete}}},
        {".ds-one": {"mappings": {"properties": incomplete}}},
        {},
    ]
    recorded.responses[f"PUT {MAPPINGS}"] = {"acknowledged": True}
    with connect(settings) as client:
        lines = [update_stream_mappings(client) for _ in range(3)]
    outcomes = ["unchanged", "changed (message)", "there are none yet"]
    assert lines == [f"fields of existing streams: {each}" for each in outcomes]
    assert recorded.changes() == [(f"PUT {MAPPINGS}", {"properties": complete})]
