"""How Elasticsearch is spoken to, and whether anything can be changed in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from elasticsearch import ConnectionError as NoConnectionError

from support.recorded_requests import Recorded
from tidegate.provision.commands import setup_elasticsearch
from tidegate.provision.elasticsearch.server import (
    asking,
    check,
    connected,
    full_problem,
    plain,
    read_password,
    version_problem,
)
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings, load


@pytest.mark.parametrize("number", ["9.2.0", "9.2.8", "9.10.0", "9.3.0-SNAPSHOT"])
def test_the_versions_that_are_known_are_set_up(number: str) -> None:
    assert version_problem(number) == ""


@pytest.mark.parametrize("number", ["8.19.9", "9.1.10", "10.0.0", "unknown"])
def test_older_and_newer_versions_are_refused_in_a_sentence(number: str) -> None:
    sentence = f"it is Elasticsearch {number}, and this stack needs 9.2 or a later 9"
    assert version_problem(number) == sentence


def test_an_older_server_is_found_before_anything_is_changed(
    recorded: Recorded, settings: Settings
) -> None:
    recorded.answers["GET /_nodes/_local/_none"] = {"nodes": {"a": {"version": "9.1.4"}}}
    with (
        connected(settings) as client,
        pytest.raises(ProvisionError, match=r"Elasticsearch 9\.1\.4"),
    ):
        check(client)


def test_blocks_of_a_full_disk_are_named_and_others_are_not() -> None:
    disks = [{"available_in_bytes": 3 * 2**29}]
    blocks = {
        "indices": {
            "closed": {"4": {"description": "index closed"}},
            "full": {"12": {"description": "disk usage exceeded flood-stage watermark"}},
        }
    }
    assert full_problem({}, disks) == ""
    assert full_problem({"indices": {"closed": blocks["indices"]["closed"]}}, disks) == ""
    assert full_problem(blocks, disks) == (
        "Elasticsearch made 1 indices read-only (full …), as it does when its disk has less free space than"
        " the flood_stage watermark; 1.5 GiB are free now: free some space, and it ends that"
    )
    everything = {"global": {"6": {"description": "cluster read-only (api)"}}, **blocks}
    assert full_problem(everything, disks) == (
        "Elasticsearch takes no changes: cluster read-only (api)"
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory; provision.secrets_dir says where"),
        (b"\xff", "cannot be read: it is not text"),
        (b"\n", "is empty: a password belongs there"),
    ],
)
def test_a_password_that_is_not_there_is_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / "writer").write_bytes(content)
    with pytest.raises(ProvisionError, match=f"{tmp_path / 'writer'} {sentence}"):
        read_password(tmp_path, "writer")


def test_a_certificate_authority_that_is_not_there_is_a_sentence(
    settings: Settings, tmp_path: Path
) -> None:
    where = settings.store.elasticsearch.model_copy(update={"ca_file": tmp_path / "ca.pem"})
    other = load(store={"elasticsearch": where}, provision=settings.provision)
    with pytest.raises(ProvisionError, match="ca_file: there is no file"), connected(other):
        pass


def test_one_that_goes_away_in_the_middle_is_a_sentence() -> None:
    with (
        pytest.raises(ProvisionError, match="role x: Elasticsearch cannot be reached: timed out"),
        asking("role x"),
    ):
        raise NoConnectionError("timed out")


def test_the_systems_words_are_taken_out_of_the_libraries_names() -> None:
    wrapped = (
        "ConnectionError(NewConnectionError(<urllib3 at 0x7f>: [Errno 111] Connection refused))"
    )
    assert plain(NoConnectionError(wrapped)) == "Connection refused"
    assert plain(NoConnectionError("odd")) == "odd"


def test_a_way_of_making_users_that_there_is_not_is_a_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup_elasticsearch(settings, users="ldap") == 2
    assert capsys.readouterr().err == "--users ldap: must be native or given\n"


def test_the_command_says_what_stopped_it(
    recorded: Recorded, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.answers["GET /_cluster/health"] = {"status": "green"}
    recorded.answers["GET /_nodes/_local/_none"] = {"nodes": {"a": {"version": "10.0.0"}}}
    assert setup_elasticsearch(settings, users="given") == 2
    sentence = "it is Elasticsearch 10.0.0, and this stack needs 9.2 or a later 9\n"
    assert capsys.readouterr().err == sentence
