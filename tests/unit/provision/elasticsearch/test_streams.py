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
MAPPINGS = "GET /logs-tidegate.*-*,traces-tidegate.*-*/_mapping"


def stream(lifecycle: dict[str, Any] | None, *, failure_store: bool) -> dict[str, Any]:
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


def update(settings: Settings, retention: str = "7d") -> list[str]:
    with connect(settings) as client:
        return list(update_stream_retention(client, retention))


def test_a_stream_in_the_desired_state_is_unchanged(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    present = stream({"enabled": True, "data_retention": "7d"}, failure_store=False)
    recorded.responses[LIST] = {"data_streams": [present]}
    assert update(settings) == [f"stream {NAME}: unchanged"]
    assert recorded.changes() == []


@pytest.mark.parametrize(
    ("lifecycle", "before"),
    [
        ({"enabled": True, "data_retention": "3d"}, "3d"),
        ({"enabled": False, "data_retention": "7d"}, "7d"),
        ({"enabled": True}, "none"),
        (None, "none"),
    ],
)
def test_the_retention_of_a_stream_is_set_to_the_setting(
    recorded: RecordedElasticsearch,
    settings: Settings,
    lifecycle: dict[str, Any] | None,
    before: str,
) -> None:
    recorded.responses[LIST] = {"data_streams": [stream(lifecycle, failure_store=False)]}
    recorded.responses[f"PUT /_data_stream/{NAME}/_lifecycle"] = {"acknowledged": True}
    assert update(settings) == [f"stream {NAME}: changed (retention {before} → 7d)"]
    expected = {"data_retention": "7d", "enabled": True}
    assert recorded.changes() == [(f"PUT /_data_stream/{NAME}/_lifecycle", expected)]


def test_an_enabled_failure_store_is_disabled(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    present = stream({"enabled": True, "data_retention": "7d"}, failure_store=True)
    recorded.responses[LIST] = {"data_streams": [present]}
    recorded.responses[f"PUT /_data_stream/{NAME}/_options"] = {"acknowledged": True}
    assert update(settings) == [f"stream {NAME}: changed (failure store off)"]
    expected = {"failure_store": {"enabled": False}}
    assert recorded.changes() == [(f"PUT /_data_stream/{NAME}/_options", expected)]


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
    with pytest.raises(
        ProvisionError, match="retention of existing streams: Elasticsearch responds with 400"
    ):
        update(settings)
    recorded.responses[LIST] = {"data_streams": [stream(None, failure_store=False)]}
    recorded.responses[f"PUT /_data_stream/{NAME}/_lifecycle"] = (400, refusal)
    message = (
        f"stream {NAME}: Elasticsearch responds with 400: illegal_argument_exception: too short"
    )
    with pytest.raises(ProvisionError, match=message):
        update(settings)


def test_only_streams_without_a_field_are_updated(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    complete = properties()
    incomplete = {name: part for name, part in complete.items() if name != "message"}
    recorded.responses[MAPPINGS] = [
        {".ds-one": {"mappings": {"properties": complete}}},
        {".ds-one": {"mappings": {"properties": incomplete}}},
        {},
    ]
    recorded.responses["PUT /logs-tidegate.*-*,traces-tidegate.*-*/_mapping"] = {
        "acknowledged": True
    }
    with connect(settings) as client:
        lines = [update_stream_mappings(client) for _ in range(3)]
    assert lines == [
        "fields of existing streams: unchanged",
        "fields of existing streams: changed (message)",
        "fields of existing streams: there are none yet",
    ]
    (change,) = recorded.changes()
    assert change[1] == {"properties": complete}
