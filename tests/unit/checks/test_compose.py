"""The checks of `tidegate doctor --compose`."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tidegate.checks.compose import (
    buildx_check,
    compose_check,
    disk_checks,
    engine_check,
    ports_check,
    socket_check,
)
from tidegate.observability_files.watermarks import GIB


def config(port: int = 3000, docker_socket: str = "/var/run/docker.sock") -> dict[str, Any]:
    mount = {"source": docker_socket, "target": "/var/run/docker.sock"}
    ports = [{"host_ip": "127.0.0.1", "published": str(port), "target": 3000}]
    return {"services": {"grafana": {"ports": ports}, "resizer": {"volumes": [mount]}}}


def test_a_used_port_is_reported_with_its_variable_unless_the_stack_uses_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        check = ports_check(config(port), set())
        assert check.state == "failed"
        assert f"port {port} (GRAFANA_PORT) is used by " in check.text
        assert check.text.endswith("or set GRAFANA_PORT to a free port")
        assert ports_check(config(port), {port}).state == "ok"
    assert ports_check(config(port), set()).text == "all 1 are free"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("2.23.3\n", "failed"),
        ("2.33.1\n", "failed"),
        ("2.34.0\n", "ok"),
        ("v5.6.1\n", "ok"),
        ("1.29.2", "failed"),
        ("dev", "ok"),
    ],
)
def test_compose_must_be_new_enough(text: str, state: str) -> None:
    assert compose_check(text).state == state


@pytest.mark.parametrize(
    ("version", "state", "text"),
    [
        ("v0.16.2", "failed", "set DOCKER_BUILDKIT=0"),
        ("0.17.1", "ok", "0.17.1"),
        ("v0.38.2", "ok", "v0.38.2"),
        (None, "ok", "not installed"),
    ],
)
def test_buildx_may_be_missing_but_not_old(version: str | None, state: str, text: str) -> None:
    plugins = [{"Name": "compose", "Version": "v5.6.1"}]
    plugins += [{"Name": "buildx", "Version": version}] if version else []
    check = buildx_check({"ClientInfo": {"Plugins": plugins}})
    assert check.state == state
    assert text in check.text


def test_podman_is_refused() -> None:
    # As `docker version` shows them. Podman's: containers/podman, pkg/api/handlers/compat/version.go.
    podman = {"Server": {"Version": "5.2.0", "Components": [{"Name": "Podman Engine"}]}}
    assert engine_check(podman).text == "Podman answers, which is not supported: use Docker"
    engine = {"Server": {"Version": "28.5.1", "Arch": "arm64", "Components": [{"Name": "Engine"}]}}
    assert (engine_check(engine).state, engine_check(engine).text) == ("ok", "28.5.1 (arm64)")


def test_a_rootless_engine_needs_another_socket() -> None:
    rootless = {"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
    check = socket_check(config(), rootless)
    assert check.state == "failed"
    assert "set DOCKER_SOCKET=$XDG_RUNTIME_DIR/docker.sock" in check.text
    assert socket_check(config(docker_socket="/run/user/1000/docker.sock"), rootless).state == "ok"
    assert socket_check(config(), {"SecurityOptions": None}).state == "ok"


def test_the_disk_check_runs_where_the_disk_is_accessible(monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk_checks({"DockerRootDir": "/", "OperatingSystem": "Docker Desktop"}) == []
    here = {"DockerRootDir": "/", "OperatingSystem": "Debian GNU/Linux 12"}
    monkeypatch.setattr("tidegate.provision.preflight.free_by_disk", lambda paths: {paths[0]: GIB})
    assert [check.state for check in disk_checks(here)] == ["failed"]
