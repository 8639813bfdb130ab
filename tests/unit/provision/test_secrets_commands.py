"""`tidegate secrets init` and `tidegate secrets show`, as a person sees them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.observability_files.watermarks import GIB
from tidegate.provision import commands, preflight
from tidegate.provision.commands import secrets_init, secrets_show
from tidegate.provision.preflight import MAP_COUNT_RECOMMENDED
from tidegate.provision.secrets import init as initial
from tidegate.provision.secrets.inventory import CONSUMERS, SECRETS, Consumer
from tidegate.provision.secrets.version_stamp import NAME

MINE = {
    name: Consumer(name, os.getuid(), os.getgid(), consumer.mode)
    for name, consumer in CONSUMERS.items()
}


@pytest.fixture(autouse=True)
def _as_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial, "CONSUMERS", MINE)
    monkeypatch.setattr(preflight, "read_map_count", lambda: MAP_COUNT_RECOMMENDED)
    monkeypatch.setattr(preflight, "read_memory", lambda: 8 * GIB)


def init(folder: Path, own: list[str] | None = None, version: str = "9.2.8") -> int:
    return secrets_init(
        folder / "secrets",
        folder / "given",
        own=own or [],
        stamp=folder / "data",
        stack_version=version,
    )


def test_the_first_start_makes_all_and_the_second_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [f"{tmp_path / 'events'}={os.getuid()}:{os.getgid()}"]
    assert init(tmp_path, own) == 0
    first = capsys.readouterr()
    assert first.err == ""
    assert first.out.splitlines() == [
        *(f"{secret.name}: made" for secret in SECRETS),
        f"{tmp_path / 'events'}: made",
        f"{tmp_path / 'data'}: of Elasticsearch 9.2.8",
    ]
    assert init(tmp_path, own) == 0
    assert all(line.endswith(": as it was") for line in capsys.readouterr().out.splitlines())


def test_each_reader_has_its_own_secrets_and_no_other(tmp_path: Path) -> None:
    init(tmp_path)
    held = {
        folder.name: {file.name for file in folder.iterdir()}
        for folder in (tmp_path / "secrets").iterdir()
    }
    assert held == {
        "elasticsearch": {"elastic"},
        "kibana": {"kibana_system", "kibana_encryption_key"},
        "logstash": {"writer", "collector"},
        "collector": {"collector"},
        "setup": {"elastic", "kibana_system", "writer", "reader", "viewer"},
        "grafana": {"grafana_admin", "reader"},
        "exporter": {"reader"},
        "verify": {"reader", "viewer", "grafana_admin"},
        "control": {"resizer_token"},
        "model": {"prediction_key"},
    }


def test_no_value_is_ever_printed_but_by_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "writer").write_text("a-value-of-my-own\n")
    init(tmp_path)
    printed = capsys.readouterr().out
    folder = tmp_path / "secrets"
    for path in folder.glob("*/*"):
        assert path.read_text() not in printed
    assert secrets_show("writer", folder) == 0
    assert capsys.readouterr().out == "a-value-of-my-own\n"


def test_every_problem_is_a_sentence_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, data = tmp_path / "given", tmp_path / "data"
    given.mkdir()
    data.mkdir()
    (given / "writer").write_text("short")
    (given / "password").write_text("correct-horse-battery")
    (data / NAME).write_text("9.3.0\n")
    assert init(tmp_path) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{given / 'password'}: there is no secret of this name")
    assert lines[1] == f"{given / 'writer'}: is too short: 5 characters, 12 are needed"
    assert lines[2].startswith("the data volume was written by Elasticsearch 9.3.0 and this stack")
    assert not (tmp_path / "secrets").exists()


def test_a_newer_stack_takes_the_volume_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(tmp_path)
    capsys.readouterr()
    assert init(tmp_path, version="9.2.9") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"{tmp_path / 'data'}: of Elasticsearch 9.2.9, before 9.2.8"
    assert init(tmp_path) == 2


def test_too_few_maps_and_too_little_memory_are_warnings_that_stop_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "read_map_count", lambda: 65_530)
    monkeypatch.setattr(preflight, "read_memory", lambda: 4 * GIB)
    assert init(tmp_path) == 0
    maps, memory = capsys.readouterr().err.splitlines()
    assert maps.startswith("warning: vm.max_map_count is 65530")
    assert memory.startswith("warning: this machine")


def test_a_full_disk_and_an_unreadable_checkout_stop_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_by_disk", lambda paths: {paths[0]: GIB})
    monkeypatch.setattr(
        initial, "unreadable_problem", lambda _: "files are readable by their owner only"
    )
    assert init(tmp_path) == 2
    unreadable, full = capsys.readouterr().err.splitlines()
    assert unreadable == "files are readable by their owner only"
    assert full.startswith(f"the disk of {tmp_path / 'secrets'} has 1.0 GiB free")
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("blocked", ["secrets", "data"])
def test_a_place_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], blocked: str
) -> None:
    (tmp_path / blocked).write_text("a file where a folder belongs")
    assert init(tmp_path) == 2
    assert f"{tmp_path / blocked}" in capsys.readouterr().err


def test_an_option_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path, ["events"]) == 2
    assert capsys.readouterr().err == "--own events: must be an absolute PATH or PATH=UID:GID\n"


# Showing


def test_without_a_name_the_names_are_listed_with_what_each_is_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secrets_show("", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [secret.name for secret in SECRETS]


def test_an_unknown_name_and_one_that_was_not_made_are_sentences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert secrets_show("elastik", tmp_path) == 2
    assert capsys.readouterr().err.startswith("there is no secret elastik; there are elastic, ")
    assert secrets_show("elastic", tmp_path) == 2
    assert "elastic has not been made: `docker compose up` makes it" in capsys.readouterr().err


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Compose project, seen from outside of its containers."""
    monkeypatch.setattr(commands, "project_folder", lambda: tmp_path)
    (tmp_path / "docker-compose.yml").write_text("")
    return tmp_path


def docker(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `docker` on the path that does this."""
    (folder / "bin").mkdir()
    (folder / "bin" / "docker").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_outside_the_containers_the_secrets_container_is_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(project, 'echo "$@"; pwd >&2', monkeypatch)
    assert secrets_show("viewer", project / "secrets") == 0
    assert capsys.readouterr().out == "compose run --rm --no-deps -T secrets secrets show viewer\n"


def test_what_docker_says_against_it_is_said_in_a_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docker(project, "echo first >&2; echo 'no such service: secrets' >&2; exit 1", monkeypatch)
    assert secrets_show("viewer", project / "secrets") == 2
    said = "docker compose could not show viewer: no such service: secrets\n"
    assert capsys.readouterr().err == said


def test_without_docker_or_a_project_it_says_what_is_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(project))
    assert secrets_show("viewer", project / "secrets") == 2
    assert capsys.readouterr().err == (
        "docker cannot be run (No such file or directory), and the secrets lie in its volumes\n"
    )
    (project / "docker-compose.yml").unlink()
    assert secrets_show("viewer", project / "secrets") == 2
    assert f"there is no docker-compose.yml in {project}" in capsys.readouterr().err
