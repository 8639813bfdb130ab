"""Errors of a set-up are reported in one sentence by the component concerned."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.processes.compose_project import docker
from support.processes.compose_stack import Compose
from tidegate.provision.secrets.version_stamp import ELASTIC_VERSION

pytestmark = pytest.mark.e2e

ALONE = ("run", "--rm", "--no-deps", "-T")


def test_an_unusable_secret_file(project: Compose, tmp_path: Path) -> None:
    (tmp_path / "writer").write_text("short\n")
    done = project.call(*ALONE, "secrets", TIDEGATE_SECRETS=str(tmp_path))
    assert done.returncode == 2
    assert "/given/writer: " in done.stderr


def test_a_volume_of_a_newer_elasticsearch(project: Compose) -> None:
    project.run(*ALONE, "secrets")
    volume = f"{project.project}_elasticsearch:/v"
    write = "echo 9.9.0 >/v/tidegate-elastic-version"
    docker("run", "--rm", "-v", volume, "tidegate/base:bookworm", "sh", "-c", write)
    done = project.call(*ALONE, "secrets")
    assert done.returncode == 2
    assert "Elasticsearch 9.9.0" in done.stderr
    assert ELASTIC_VERSION in done.stderr


def test_no_docker_socket(project: Compose, tmp_path: Path) -> None:
    project.run(*ALONE, "secrets")
    done = project.call(*ALONE, "resizer", DOCKER_SOCKET=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "/var/run/docker.sock" in done.stderr
    assert "Traceback" not in done.stderr
