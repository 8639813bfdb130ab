"""The stamp of a data volume."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tidegate.provision.elasticsearch.server import version_problem
from tidegate.provision.problems import ProvisionError
from tidegate.provision.secrets.version_stamp import (
    ELASTIC_VERSION,
    NAME,
    read_stamp,
    stamp_problem,
    version,
    write_stamp,
)

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("stamp", ["", "9.2.8", "9.2.7", "9.1.10", "8.19.9"])
def test_a_volume_of_the_same_or_an_older_version_is_taken(stamp: str) -> None:
    assert stamp_problem(stamp, "9.2.8") == ""


@pytest.mark.parametrize("stamp", ["9.2.9", "9.2.10", "9.3.0", "9.10.0", "10.0.0"])
def test_a_volume_of_a_newer_version_is_refused_in_a_sentence(stamp: str) -> None:
    assert stamp_problem(stamp, "9.2.8") == (
        f"the data volume was written by Elasticsearch {stamp} and this stack runs 9.2.8:"
        f" start Elasticsearch {stamp} or later, or restore a backup into a new volume"
    )


def test_what_is_no_version_is_named() -> None:
    assert f"{NAME} in the data volume holds 'nine' where" in stamp_problem("nine", "9.2.8")
    assert stamp_problem("9.2.8", "9.2") == (
        "--stack-version 9.2 (ELASTIC_VERSION in Compose): must look like 9.5.3"
    )
    assert "must look like" in stamp_problem("9.2.8", "9.2.8-SNAPSHOT")


def test_a_stamp_is_read_as_it_was_written(tmp_path: Path) -> None:
    volume = tmp_path / "data"
    assert read_stamp(volume) == ""
    write_stamp(volume, "9.2.8")
    write_stamp(volume, "9.2.9")
    assert read_stamp(volume) == "9.2.9"
    assert [path.name for path in volume.iterdir()] == [NAME]


def test_a_volume_that_cannot_be_read_or_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(ProvisionError, match=f"{NAME} cannot be read: Is a directory"):
        read_stamp(tmp_path)
    with pytest.raises(ProvisionError, match=f"{NAME} cannot be written: "):
        write_stamp(tmp_path, "9.2.8")


def test_what_elasticsearch_plants_in_its_volume_leads_nowhere(tmp_path: Path) -> None:
    # It owns the volume, and the one that reads and writes the stamp is root.
    secret, volume = tmp_path / "secret", tmp_path / "data"
    secret.write_text("a secret of another")
    volume.mkdir()
    (volume / NAME).symlink_to(secret)
    with pytest.raises(ProvisionError, match=f"{NAME} is a symbolic link: remove it") as raised:
        read_stamp(volume)
    assert "a secret" not in str(raised.value)
    write_stamp(volume, "9.2.8")
    assert secret.read_text() == "a secret of another"
    assert read_stamp(volume) == "9.2.8"
    (volume / NAME).unlink()
    os.mkfifo(volume / NAME)  # nobody writes to it: it must not be waited for
    assert read_stamp(volume) == ""


def test_the_tests_run_a_version_of_the_same_major_and_not_a_newer_one() -> None:
    script = (ROOT / "scripts" / "elasticsearch").read_text(encoding="utf-8")
    found = re.search(r"^version=(\S+)$", script, re.MULTILINE)
    assert found is not None
    tested, running = version(found[1]), version(ELASTIC_VERSION)
    assert tested is not None
    assert running is not None
    assert tested[0] == running[0]
    assert tested <= running
    assert version_problem(found[1]) == version_problem(ELASTIC_VERSION) == ""
