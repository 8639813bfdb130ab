"""The output of `tidegate secrets init` and `tidegate secrets show`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.observability_files.watermarks import GIB
from tidegate.provision import commands, preflight
from tidegate.provision.commands import secrets_init, secrets_show
from tidegate.provision.preflight import RECOMMENDED_MAP_COUNT
from tidegate.provision.secrets import init as initial
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Consumer
from tidegate.provision.secrets.version_stamp import STAMP_FILE

MINE = {
    name: Consumer(name, os.getuid(), os.getgid(), consumer.mode)
    for name, consumer in CONSUMERS.items()
}


@pytest.fixture(autouse=True)
def _owned_by_the_user_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial, "CONSUMERS", MINE)
    monkeypatch.setattr(preflight, "read_map_count", lambda: RECOMMENDED_MAP_COUNT)
    monkeypatch.setattr(preflight, "read_memory", lambda: 8 * GIB)


def init(folder: Path, own: list[str] | None = None, version: str = "9.2.8") -> int:
    return secrets_init(
        folder / "secrets",
        folder / "supplied",
        own=own or [],
        stamp=folder / "data",
        stack_version=version,
    )


def test_the_first_start_creates_everything_and_the_second_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"{tmp_path / 'events'}={os.getuid()}:{os.getgid()}"]
    assert init(tmp_path, own) == 0
    first = capsys.readouterr()
    assert first.err == ""
    assert first.out.splitlines() == [
        *(f"{secret.name}: created" for secret in SECRETS),
        f"{tmp_path / 'events'}: created",
        f"{tmp_path / 'data'}: stamped with Elasticsearch 9.2.8",
    ]
    assert init(tmp_path, own) == 0
    assert all(line.endswith(": unchanged") for line in capsys.readouterr().out.splitlines())


def test_each_consumer_has_its_own_secrets_only(tmp_path: Path) -> None:
    init(tmp_path)
    files = {
        folder.name: {file.name for file in folder.iterdir()}
        for folder in (tmp_path / "secrets").iterdir()
    }
    assert files == {
        "elasticsearch": {"elastic"},
        "kibana": {"kibana_system", "kibana_encryption_key"},
        "logstash": {"writer", "collector"},
        "collector": {"collector"},
        "setup": {"elastic", "kibana_system", "writer", "reader", "viewer"},
        "grafana": {"grafana_admin", "reader"},
        "exporter": {"reader"},
        "console": {"console", "reader"},
        "verify": {"reader", "viewer", "grafana_admin"},
        "control": {"resizer_token"},
        "model": {"prediction_key"},
    }


def test_only_show_prints_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "supplied").mkdir()
    (tmp_path / "supplied" / "writer").write_text("a-custom-value\n")
    init(tmp_path)
    printed = capsys.readouterr().out
    folder = tmp_path / "secrets"
    for path in folder.glob("*/*"):
        assert path.read_text() not in printed
    assert secrets_show("writer", folder) == 0
    assert capsys.readouterr().out == "a-custom-value\n"


def test_every_problem_is_reported_and_nothing_is_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supplied, data = tmp_path / "supplied", tmp_path / "data"
    supplied.mkdir()
    data.mkdir()
    (supplied / "writer").write_text("short")
    (supplied / "password").write_text("correct-horse-battery")
    (data / STAMP_FILE).write_text("9.3.0\n")
    assert init(tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{supplied / 'password'}: unknown secret; expected one of ")
    assert lines[1] == f"{supplied / 'writer'}: is too short: 5 characters, the minimum is 12"
    assert lines[2].startswith("the data volume was written by Elasticsearch 9.3.0 and this stack")
    assert not (tmp_path / "secrets").exists()


def test_a_newer_stack_updates_the_stamp_of_the_volume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path)
    capsys.readouterr()
    assert init(tmp_path, version="9.2.9") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"{tmp_path / 'data'}: stamped with Elasticsearch 9.2.9, previously 9.2.8"
    assert init(tmp_path) == 2


def test_too_few_memory_maps_and_too_little_memory_are_only_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "read_map_count", lambda: 65_530)
    monkeypatch.setattr(preflight, "read_memory", lambda: 4 * GIB)
    assert init(tmp_path) == 0
    maps, memory = capsys.readouterr().err.splitlines()
    assert maps.startswith("warning: vm.max_map_count is 65530")
    assert memory.startswith("warning: this machine")


def test_a_full_disk_and_an_unreadable_checkout_prevent_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_by_disk", lambda paths: {paths[0]: GIB})
    monkeypatch.setattr(
        initial, "unreadable_problem", lambda _: "files are readable only by their owner"
    )
    assert init(tmp_path) == 2
    unreadable, full = capsys.readouterr().err.splitlines()
    assert unreadable == "files are readable only by their owner"
    assert full.startswith(f"the disk of {tmp_path / 'secrets'} has 1.0 GiB free")
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("blocked", ["secrets", "data"])
def test_a_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], blocked: str
) -> None:
    (tmp_path / blocked).write_text("a file in place of a folder")
    assert init(tmp_path) == 2
    assert f"{tmp_path / blocked}" in capsys.readouterr().err


def test_an_invalid_option_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path, ["events"]) == 2
    assert capsys.readouterr().err == "--own events: must be an absolute PATH or PATH=UID:GID\n"


def test_without_a_name_the_secrets_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secrets_show("", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [secret.name for secret in SECRETS]


def test_an_unknown_name_and_a_missing_secret_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secrets_show("elastik", tmp_path) == 2
    assert capsys.readouterr().err.startswith("unknown secret elastik; expected one of elastic, ")
    assert secrets_show("elastic", tmp_path) == 2
    assert "elastic does not exist yet: `docker compose up` creates it" in capsys.readouterr().err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Compose project, outside of its containers."""
    monkeypatch.setattr(commands, "project_folder", lambda: tmp_path)
    (tmp_path / "docker-compose.yml").write_text("")
    return tmp_path


def docker(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `docker` with this script on the PATH."""
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_outside_the_containers_the_value_is_read_through_the_secrets_container(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(project, 'echo "$@"; pwd >&2', monkeypatch)
    assert secrets_show("viewer", project / "secrets") == 0
    assert capsys.readouterr().out == "compose run --rm --no-deps -T secrets secrets show viewer\n"


def test_an_error_of_docker_is_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(project, "echo first >&2; echo 'no such service: secrets' >&2; exit 1", monkeypatch)
    assert secrets_show("viewer", project / "secrets") == 2
    message = "docker compose could not show viewer: no such service: secrets\n"
    assert capsys.readouterr().err == message


def test_a_missing_docker_and_a_missing_project_are_reported(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert secrets_show("viewer", project / "secrets") == 2
    assert capsys.readouterr().err == (
        "docker cannot be run (No such file or directory), but the secrets are in its volumes\n"
    )
    (project / "docker-compose.yml").unlink()
    assert secrets_show("viewer", project / "secrets") == 2
    assert f"there is no docker-compose.yml in {project}" in capsys.readouterr().err
