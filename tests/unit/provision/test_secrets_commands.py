"""The output of `tidegate secrets init` and `tidegate secrets show`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.observability_files.watermarks import GIB
from tidegate.provision import preflight
from tidegate.provision.preflight import RECOMMENDED_MAP_COUNT
from tidegate.provision.secrets import display
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


@dataclass
class Stack:
    """The folders of a stack. Each command returns its exit code, its output and its errors."""

    folder: Path

    def __post_init__(self) -> None:
        self.secrets, self.data = self.folder / "secrets", self.folder / "data"

    def supply(self, **values: str) -> None:
        (self.folder / "supplied").mkdir()
        for name, value in values.items():
            (self.folder / "supplied" / name).write_text(value)

    def init(self, *own: str, version: str = "9.2.8") -> tuple[int, str, str]:
        owned = [word for one in own for word in ("--own", one)]
        given = ("--given", str(self.folder / "supplied"), "--stamp", str(self.data), *owned)
        return self._run("init", *given, "--stack-version", version)

    def show(self, name: str) -> tuple[int, str, str]:
        return self._run("show", name)

    def _run(self, *words: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, ["secrets", *words, "--dir", str(self.secrets)])
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_the_first_start_creates_everything_and_the_second_changes_nothing(stack: Stack) -> None:
    events = stack.folder / "events"
    own = f"{events}={os.getuid()}:{os.getgid()}"
    code, out, err = stack.init(own)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        *(f"{secret.name}: created" for secret in SECRETS),
        f"{events}: created",
        f"{stack.data}: stamped with Elasticsearch 9.2.8",
    ]
    code, out, _ = stack.init(own)
    assert code == 0
    assert all(line.endswith(": unchanged") for line in out.splitlines())


def test_each_consumer_has_its_own_secrets_only(stack: Stack) -> None:
    stack.init()
    files = {
        folder.name: {file.name for file in folder.iterdir()} for folder in stack.secrets.iterdir()
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


def test_only_show_prints_a_value(stack: Stack) -> None:
    stack.supply(writer="a-custom-value\n")
    _, out, _ = stack.init()
    for path in stack.secrets.glob("*/*"):
        assert path.read_text() not in out
    assert stack.show("writer") == (0, "a-custom-value\n", "")


def test_every_problem_is_reported_and_nothing_is_created(stack: Stack) -> None:
    stack.supply(writer="short", password="correct-horse-battery")
    stack.data.mkdir()
    (stack.data / STAMP_FILE).write_text("9.3.0\n")
    code, out, err = stack.init()
    assert (code, out) == (2, "")
    unknown, short, newer = err.splitlines()
    supplied = stack.folder / "supplied"
    assert unknown.startswith(f"{supplied / 'password'}: unknown secret; expected one of ")
    assert short == f"{supplied / 'writer'}: is too short: 5 characters, the minimum is 12"
    assert newer.startswith("the data volume was written by Elasticsearch 9.3.0 and this stack")
    assert not stack.secrets.exists()


def test_a_newer_stack_updates_the_stamp_of_the_volume(stack: Stack) -> None:
    stack.init()
    code, out, _ = stack.init(version="9.2.9")
    last = out.splitlines()[-1]
    assert code == 0
    assert last == f"{stack.data}: stamped with Elasticsearch 9.2.9, previously 9.2.8"
    assert stack.init()[0] == 2


def test_too_few_memory_maps_and_too_little_memory_are_only_warnings(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "read_map_count", lambda: 65_530)
    monkeypatch.setattr(preflight, "read_memory", lambda: 4 * GIB)
    code, _, err = stack.init()
    maps, memory = err.splitlines()
    assert code == 0
    assert maps.startswith("warning: vm.max_map_count is 65530")
    assert memory.startswith("warning: this machine")


def test_a_full_disk_and_an_unreadable_checkout_prevent_the_start(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "free_by_disk", lambda paths: {paths[0]: GIB})
    monkeypatch.setattr(initial, "unreadable_problem", lambda _: "files cannot be read")
    code, _, err = stack.init()
    unreadable, full = err.splitlines()
    assert (code, unreadable) == (2, "files cannot be read")
    assert full.startswith(f"the disk of {stack.secrets} has 1.0 GiB free")
    assert not stack.secrets.exists()


@pytest.mark.parametrize("blocked", ["secrets", "data"])
def test_a_folder_that_cannot_be_written_is_reported(stack: Stack, blocked: str) -> None:
    (stack.folder / blocked).write_text("a file in place of a folder")
    code, _, err = stack.init()
    assert code == 2
    assert f"{stack.folder / blocked}" in err


def test_an_invalid_option_is_reported(stack: Stack) -> None:
    message = "--own events: must be an absolute PATH or PATH=UID:GID\n"
    assert stack.init("events") == (2, "", message)


def test_without_a_name_the_secrets_are_listed(stack: Stack) -> None:
    code, out, _ = stack.show("")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [secret.name for secret in SECRETS]


def test_an_unknown_name_and_a_missing_secret_are_reported(stack: Stack) -> None:
    code, _, err = stack.show("elastik")
    assert code == 2
    assert err.startswith("unknown secret elastik; expected one of elastic, ")
    stack.secrets.mkdir()
    code, _, err = stack.show("elastic")
    assert code == 2
    assert "elastic does not exist yet: `docker compose up` creates it" in err


@pytest.fixture
def project(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A Compose project, outside of its containers, with no other program on the PATH than `docker`."""
    monkeypatch.setattr(display, "project_folder", lambda: stack.folder)
    (stack.folder / "docker-compose.yml").write_text("")
    (stack.folder / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{stack.folder / 'bin'}:/usr/bin:/bin")
    return stack


def docker(project: Stack, script: str) -> None:
    path = project.folder / "bin" / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_outside_the_containers_the_value_is_read_through_the_secrets_container(
    project: Stack,
) -> None:
    docker(project, 'echo "$@"; pwd >&2')
    command = "compose run --rm --no-deps -T secrets secrets show viewer\n"
    assert project.show("viewer") == (0, command, "")


def test_an_error_of_docker_is_reported(project: Stack) -> None:
    docker(project, "echo first >&2; echo 'no such service: secrets' >&2; exit 1")
    message = "docker compose could not show viewer: no such service: secrets\n"
    assert project.show("viewer") == (2, "", message)


def test_a_missing_docker_and_a_missing_project_are_reported(
    project: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(project.folder))
    message = (
        "docker cannot be run (No such file or directory), but the secrets are in its volumes\n"
    )
    assert project.show("viewer") == (2, "", message)
    (project.folder / "docker-compose.yml").unlink()
    code, _, err = project.show("viewer")
    assert code == 2
    assert f"there is no docker-compose.yml in {project.folder}" in err
