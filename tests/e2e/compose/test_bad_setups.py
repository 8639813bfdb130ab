"""What is wrong with a set-up is said in one sentence, by the part that it concerns."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from composing import PUBLISHED, Compose, docker, require_images
from ports import free_ports

pytestmark = pytest.mark.e2e

ALONE = ("run", "--rm", "--no-deps", "-T")


@pytest.fixture
def compose() -> Iterator[Compose]:
    """A project of which nothing runs."""
    require_images()
    first = free_ports(len(PUBLISHED))
    ports = {name: first + number for number, name in enumerate(PUBLISHED)}
    stack = Compose(f"tidegate-bad-{uuid.uuid4().hex[:8]}", ports)
    yield stack
    stack.run("down", "--volumes", "--remove-orphans", "--timeout", "5")


def test_an_unusable_secret_file(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "writer").write_text("short\n")
    done = compose.call(*ALONE, "secrets", TIDEGATE_SECRETS=str(tmp_path))
    assert done.returncode == 2
    assert "/given/writer: " in done.stderr


def test_a_volume_of_a_newer_elasticsearch(compose: Compose) -> None:
    compose.run(*ALONE, "secrets")
    volume = f"{compose.project}_elasticsearch:/v"
    write = "echo 9.9.0 >/v/tidegate-elastic-version"
    docker("run", "--rm", "-v", volume, "tidegate/base:bookworm", "sh", "-c", write)
    done = compose.call(*ALONE, "secrets")
    assert done.returncode == 2
    assert "Elasticsearch 9.9.0" in done.stderr
    assert "9.2.8" in done.stderr


def test_no_docker_socket(compose: Compose, tmp_path: Path) -> None:
    compose.run(*ALONE, "secrets")
    done = compose.call(*ALONE, "resizer", DOCKER_SOCKET=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "/var/run/docker.sock" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port(compose: Compose) -> None:
    with socket.create_server(("127.0.0.1", compose.ports["PROMETHEUS"])):
        done = compose.call("up", "--detach", "--no-build", "prometheus")
    assert done.returncode != 0
    assert str(compose.ports["PROMETHEUS"]) in done.stderr
    assert "address already in use" in done.stderr or "already allocated" in done.stderr
