"""`tidegate setup elasticsearch`, against a real Elasticsearch with a file realm.

This is the unchanged test distribution. Native roles and users fail in it with "Unknown filter type
[pattern_capture]"; test_setup_native_realm.py tests them. It has no data stream API, so the
use of that API is tested with recorded responses in tests/unit/provision/elasticsearch/test_streams.py.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from support.eventually import eventually
from support.processes.elasticsearch_server import ElasticsearchServer
from support.samples.elasticsearch_accounts import Prepare, add_roles, add_user, superuser_client
from tidegate.observability_files.watermarks import GIB, read_watermarks
from tidegate.provision.elasticsearch.accounts import can_log_in
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.provision.elasticsearch.setup import set_up
from tidegate.provision.errors import ProvisionError
from tidegate.provision.preflight import disk_check
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
TEMPLATES = [
    "component template tidegate-settings",
    "component template tidegate-mappings",
    "index template logs-tidegate",
    "index template traces-tidegate",
]


@pytest.fixture
def settings(file_realm_elasticsearch: ElasticsearchServer, prepare: Prepare) -> Settings:
    return prepare(file_realm_elasticsearch)


@pytest.fixture
def superuser(file_realm_elasticsearch: ElasticsearchServer) -> Any:
    with superuser_client(file_realm_elasticsearch) as client:
        yield client


def run(settings: Settings, users: str = "given") -> dict[str, str]:
    """Run the set-up; returns the outcome of each item."""
    lines: list[str] = []
    set_up(settings, users, lines.append)
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def error_of(settings: Settings, users: str = "given") -> str:
    """Run the set-up; returns its error."""
    with pytest.raises(ProvisionError) as caught:
        set_up(settings, users, lambda _: None)
    return str(caught.value)


def test_given_users_are_checked_and_everything_else_is_set_up(settings: Settings) -> None:
    first = run(settings)
    for file in settings.provision.secrets_dir.iterdir():
        assert file.read_text().strip() not in str(first)
    assert {first[f"user {role.name}"] for role in ROLES} == {"unchanged"}
    assert {first[item] for item in TEMPLATES} <= {"created", "unchanged"}
    second = run(settings)
    assert {second[item] for item in TEMPLATES} == {"unchanged"}


def test_a_user_that_cannot_log_in_is_reported(settings: Settings) -> None:
    file = settings.provision.secrets_dir / "reader"
    file.write_text("not-its-password")
    assert error_of(settings) == (
        f"tidegate_reader cannot log in with the password in {file}: create this user in your"
        " realm, with the role that `tidegate setup roles-file` prints"
    )


def test_missing_privileges_of_a_user_are_reported(
    settings: Settings, file_realm_elasticsearch: ElasticsearchServer, superuser: Elasticsearch
) -> None:
    server = file_realm_elasticsearch
    add_roles(server, "poor:\n  indices:\n  - {names: ['logs-*'], privileges: [create_doc]}\n")
    add_user(server, "tidegate_poor", "password-of-poor", "poor")
    eventually(lambda: can_log_in(superuser, "tidegate_poor", "password-of-poor"), "it can log in")
    (settings.provision.secrets_dir / "writer").write_text("password-of-poor")
    poor = ROLES[0].__class__("tidegate_poor", "writer", ROLES[0].cluster, ROLES[0].streams, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tidegate.provision.elasticsearch.accounts.ROLES", [poor])
        assert error_of(settings) == (
            "tidegate_poor lacks privileges: monitor; auto_configure on"
            " logs-tidegate.*-*; auto_configure, create_doc on traces-tidegate.*-*"
        )


def test_a_manually_changed_template_is_reverted_and_reported(
    settings: Settings, superuser: Elasticsearch
) -> None:
    run(settings)
    present = superuser.cluster.get_component_template(name="tidegate-settings")
    body = present["component_templates"][0]["component_template"]["template"]
    body["settings"]["index"]["codec"] = "default"
    body["data_stream_options"]["failure_store"]["enabled"] = True
    superuser.cluster.put_component_template(name="tidegate-settings", template=body)
    superuser.indices.put_index_template(
        name="logs-tidegate",
        index_patterns=["logs-tidegate.*-*"],
        data_stream={},
        priority=50,
        composed_of=["tidegate-settings"],
    )
    outcomes = run(settings)
    assert outcomes["component template tidegate-settings"] == (
        "changed (_meta.description, template.data_stream_options.failure_store.enabled,"
        " template.settings.index.codec)"
    )
    assert (
        outcomes["index template logs-tidegate"]
        == "changed (_meta.description, composed_of, priority)"
    )
    assert {run(settings)[item] for item in TEMPLATES} == {"unchanged"}


def test_existing_streams_get_new_fields(settings: Settings, superuser: Elasticsearch) -> None:
    run(settings)
    properties: dict[str, Any] = {"message": {"type": "text"}}
    older_stream(superuser, properties)
    outcome = run(settings)["fields of existing streams"]
    assert outcome.startswith("changed (client.address, client.ip, client.port and ")
    assert run(settings)["fields of existing streams"] == "unchanged"


def test_an_index_is_created_only_above_the_high_watermark_of_the_stack(
    superuser: Elasticsearch,
) -> None:
    prefix, marks = "cluster.routing.allocation.disk.watermark", read_watermarks()
    found = superuser.cluster.get_settings(include_defaults=True, flat_settings=True).body[
        "defaults"
    ]
    assert found["cluster.routing.allocation.disk.threshold_enabled"] == "true"
    expected = {f"{prefix}.{name}": f"{size // GIB}gb" for name, size in asdict(marks).items()}
    assert {name: found[name] for name in expected} == expected
    (stats,) = superuser.nodes.stats(metric="fs").body["nodes"].values()
    free = stats["fs"]["total"]["available_in_bytes"]
    assert disk_check(Path("/"), free, marks).state != "failed"
    # As on a disk with less free space than `high`.
    full = expected | {f"{prefix}.low": "1pb", f"{prefix}.high": "1pb"}
    superuser.cluster.put_settings(transient=full)
    try:
        created = superuser.indices.create(index="below", timeout="1s")
        explanation = superuser.cluster.allocation_explain(
            index="below", shard=0, primary=True
        ).body
    finally:
        superuser.cluster.put_settings(transient=dict.fromkeys(full))
        superuser.indices.delete(index="below", ignore_unavailable=True)
    assert not created["shards_acknowledged"]
    assert "high watermark" in json.dumps(explanation)
    assert superuser.indices.create(index="above")["shards_acknowledged"]
    superuser.indices.delete(index="above")


def test_a_full_disk_is_reported_and_nothing_is_changed(
    settings: Settings, superuser: Elasticsearch
) -> None:
    superuser.indices.create(index="filled", settings={"index.blocks.read_only_allow_delete": True})
    try:
        error = error_of(settings)
    finally:
        superuser.indices.delete(index="filled")
    assert error.startswith(
        "Elasticsearch has made 1 indices read-only (filled …), because the free space"
    )
    assert "GiB are free now: free more space" in error


def test_a_field_of_another_type_in_an_existing_stream_is_reported(
    settings: Settings, superuser: Elasticsearch
) -> None:
    """The last test of this file: this build has no API to delete the stream."""
    run(settings)
    older_stream(superuser, {"message": {"type": "keyword"}})
    assert error_of(settings).startswith(
        "fields of existing streams: Elasticsearch responds with 400: illegal_argument_exception: mapper"
        " [message] cannot be changed from type [keyword] to [text]"
    )


def older_stream(superuser: Elasticsearch, properties: dict[str, Any]) -> None:
    """Create a data stream whose mapping has only these fields."""
    stream = f"logs-tidegate.older-{uuid.uuid4().hex}"
    superuser.indices.put_index_template(
        name="older",
        index_patterns=[stream],
        data_stream={},
        priority=600,
        template={"mappings": {"dynamic": False, "properties": properties}},
    )
    timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    superuser.create(index=stream, id="x", document={"@timestamp": timestamp, "message": "hello"})
    superuser.indices.delete_index_template(name="older")
