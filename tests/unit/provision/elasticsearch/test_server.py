"""The connection to Elasticsearch, and the check that it accepts changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import ConnectionError as NoConnectionError

from support.doubles.recorded_elasticsearch import RecordedElasticsearch
from tidegate.provision.elasticsearch.server import (
    connect,
    provision_errors,
    read_only_problem,
    version_problem,
)
from tidegate.provision.elasticsearch.setup import set_up
from tidegate.provision.errors import ProvisionError
from tidegate.settings import Settings, load


@pytest.mark.parametrize(
    ("number", "supported"),
    [
        ("9.2.0", True),
        ("9.10.0", True),
        ("9.3.0-SNAPSHOT", True),
        ("8.19.9", False),
        ("9.1.10", False),
        ("10.0.0", False),
        ("unknown", False),
    ],
)
def test_versions_from_9_2_to_the_end_of_9_are_supported(number: str, supported: bool) -> None:
    problem = version_problem(number)
    assert (problem == "") is supported
    assert supported or problem.startswith(f"Elasticsearch {number} is not supported: ")


def test_blocks_of_a_full_disk_are_reported_and_others_are_ignored() -> None:
    disks = [{"available_in_bytes": 3 * 2**29}]
    blocks = {
        "indices": {
            "closed": {"4": {"description": "index closed"}},
            "full": {"12": {"description": "disk usage exceeded flood-stage watermark"}},
        }
    }
    assert read_only_problem({}, disks) == ""
    assert read_only_problem({"indices": {"closed": blocks["indices"]["closed"]}}, disks) == ""
    assert read_only_problem(blocks, disks) == (
        "Elasticsearch has made 1 indices read-only (full …), because the free space of its disk was below"
        " the flood_stage watermark; 1.5 GiB are free now: free more space, and the indices"
        " become writable again"
    )
    everything = {"global": {"6": {"description": "cluster read-only (api)"}}, **blocks}
    assert read_only_problem(everything, disks) == (
        "Elasticsearch accepts no changes: cluster read-only (api)"
    )


def test_a_missing_certificate_authority_is_reported(settings: Settings, tmp_path: Path) -> None:
    server = settings.store.elasticsearch.model_copy(update={"ca_file": tmp_path / "ca.pem"})
    other = load(store={"elasticsearch": server}, provision=settings.provision)
    with (
        pytest.raises(ProvisionError, match=r"elasticsearch\.ca_file: .*: No such file"),
        connect(other),
    ):
        pass


def test_a_lost_connection_is_reported_with_its_subject() -> None:
    with (
        pytest.raises(ProvisionError, match="role x: Elasticsearch cannot be reached: timed out"),
        provision_errors("role x"),
    ):
        raise NoConnectionError("timed out")


def test_an_unknown_value_of_users_and_another_version_are_refused_before_any_change(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    recorded.responses["GET /_cluster/health"] = {"status": "green"}
    recorded.responses["GET /_nodes/_local/_none"] = {"nodes": {"a": {"version": "10.0.0"}}}
    for users, problem in (
        ("ldap", "--users ldap: must be native or given"),
        ("given", r"10\.0\.0 is not supported: this stack needs 9\.2 or a later 9"),
    ):
        with pytest.raises(ProvisionError, match=problem):
            set_up(settings, users, lambda _: None)
    assert recorded.changes() == []
