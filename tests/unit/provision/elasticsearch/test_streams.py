"""Data streams that are there already, by answers in the form of Elasticsearch's data stream API.

The Elasticsearch that the tests can run has no such API (its module is not in the test distribution); the
form is that of the API's reference for 9.2.
"""

from __future__ import annotations

from typing import Any

import pytest

from support.recorded_requests import Recorded
from tidegate.provision.elasticsearch.server import connected
from tidegate.provision.elasticsearch.streams import keep_streams, teach_streams
from tidegate.provision.problems import ProvisionError
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


def kept(settings: Settings, retention: str = "7d") -> list[str]:
    with connected(settings) as client:
        return list(keep_streams(client, retention))


def test_a_stream_as_wanted_is_left_alone(recorded: Recorded, settings: Settings) -> None:
    there = stream({"enabled": True, "data_retention": "7d"}, failure_store=False)
    recorded.answers[LIST] = {"data_streams": [there]}
    assert kept(settings) == [f"stream {NAME}: as wanted"]
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
def test_a_stream_of_another_retention_takes_that_of_the_settings(
    recorded: Recorded, settings: Settings, lifecycle: dict[str, Any] | None, before: str
) -> None:
    recorded.answers[LIST] = {"data_streams": [stream(lifecycle, failure_store=False)]}
    recorded.answers[f"PUT /_data_stream/{NAME}/_lifecycle"] = {"acknowledged": True}
    assert kept(settings) == [f"stream {NAME}: changed (retention {before} → 7d)"]
    wanted = {"data_retention": "7d", "enabled": True}
    assert recorded.changes() == [(f"PUT /_data_stream/{NAME}/_lifecycle", wanted)]


def test_a_failure_store_that_is_on_is_switched_off(recorded: Recorded, settings: Settings) -> None:
    there = stream({"enabled": True, "data_retention": "7d"}, failure_store=True)
    recorded.answers[LIST] = {"data_streams": [there]}
    recorded.answers[f"PUT /_data_stream/{NAME}/_options"] = {"acknowledged": True}
    assert kept(settings) == [f"stream {NAME}: changed (failure store off)"]
    wanted = {"failure_store": {"enabled": False}}
    assert recorded.changes() == [(f"PUT /_data_stream/{NAME}/_options", wanted)]


def test_without_streams_or_without_the_api_that_is_said(
    recorded: Recorded, settings: Settings
) -> None:
    (line,) = kept(settings)
    assert line.endswith("this build of Elasticsearch has no API for it, they keep theirs")
    recorded.answers[LIST] = {"data_streams": []}
    assert kept(settings) == ["retention of existing streams: there are none yet"]


def test_a_refusal_names_the_stream(recorded: Recorded, settings: Settings) -> None:
    refusal = {"error": {"type": "illegal_argument_exception", "reason": "too short"}}
    recorded.answers[LIST] = (400, refusal)
    with pytest.raises(
        ProvisionError, match="retention of existing streams: Elasticsearch answers 400"
    ):
        kept(settings)
    recorded.answers[LIST] = {"data_streams": [stream(None, failure_store=False)]}
    recorded.answers[f"PUT /_data_stream/{NAME}/_lifecycle"] = (400, refusal)
    said = f"stream {NAME}: Elasticsearch answers 400: illegal_argument_exception: too short"
    with pytest.raises(ProvisionError, match=said):
        kept(settings)


def test_only_streams_that_lack_a_field_are_taught(recorded: Recorded, settings: Settings) -> None:
    full = properties()
    poor = {name: part for name, part in full.items() if name != "message"}
    recorded.answers[MAPPINGS] = [
        {".ds-one": {"mappings": {"properties": full}}},
        {".ds-one": {"mappings": {"properties": poor}}},
        {},
    ]
    recorded.answers["PUT /logs-tidegate.*-*,traces-tidegate.*-*/_mapping"] = {"acknowledged": True}
    with connected(settings) as client:
        said = [teach_streams(client) for _ in range(3)]
    assert said == [
        "fields of existing streams: as wanted",
        "fields of existing streams: changed (message)",
        "fields of existing streams: there are none yet",
    ]
    (taught,) = recorded.changes()
    assert taught[1] == {"properties": full}
