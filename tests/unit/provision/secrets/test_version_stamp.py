"""The version stamp of a data volume."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.version_stamp import (
    STAMP_FILE,
    read_stamp,
    stamp_problem,
    write_stamp,
)

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("stamp", ["", "9.2.8", "9.1.10", "8.19.9", "9.2.10", "9.10.0", "10.0.0"])
def test_a_volume_of_a_newer_version_is_refused(stamp: str) -> None:
    problem = stamp_problem(stamp, "9.2.8")
    assert (problem == "") is (stamp in {"", "9.2.8", "9.1.10", "8.19.9"})
    assert not problem or f"start Elasticsearch {stamp} or later" in problem


def test_an_invalid_version_is_reported() -> None:
    assert f"{STAMP_FILE} in the data volume contains 'nine' instead" in stamp_problem(
        "nine", "9.2.8"
    )
    assert stamp_problem("9.2.8", "9.2") == (
        "--stack-version 9.2 (ELASTIC_VERSION in Compose): must look like 9.5.3"
    )
    assert "must look like" in stamp_problem("9.2.8", "9.2.8-SNAPSHOT")


def test_a_written_stamp_is_read_back(tmp_path: Path) -> None:
    volume = tmp_path / "data"
    assert read_stamp(volume) == ""
    write_stamp(volume, "9.2.8")
    write_stamp(volume, "9.2.9")
    assert read_stamp(volume) == "9.2.9"
    assert [path.name for path in volume.iterdir()] == [STAMP_FILE]


def test_a_volume_that_cannot_be_read_or_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / STAMP_FILE).mkdir()
    with pytest.raises(ProvisionError, match=f"{STAMP_FILE} cannot be read: Is a directory"):
        read_stamp(tmp_path)
    with pytest.raises(ProvisionError, match=f"{STAMP_FILE} cannot be written: "):
        write_stamp(tmp_path, "9.2.8")


def test_a_link_or_a_fifo_in_the_volume_is_not_followed(tmp_path: Path) -> None:
    # Elasticsearch owns the volume, but root reads and writes the stamp.
    secret, volume = tmp_path / "secret", tmp_path / "data"
    secret.write_text("a secret of another")
    volume.mkdir()
    (volume / STAMP_FILE).symlink_to(secret)
    with pytest.raises(
        ProvisionError, match=f"{STAMP_FILE} is a symbolic link: remove it"
    ) as raised:
        read_stamp(volume)
    assert "a secret" not in str(raised.value)
    write_stamp(volume, "9.2.8")
    assert secret.read_text() == "a secret of another"
    assert read_stamp(volume) == "9.2.8"
    (volume / STAMP_FILE).unlink()
    os.mkfifo(volume / STAMP_FILE)  # it has no writer: reading it must not block
    assert read_stamp(volume) == ""
