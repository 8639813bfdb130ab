"""The process of the resizer for Docker Compose; errors at its start name the setting."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tidegate.resizer.compose.own_project import OwnProject
from tidegate.resizer.compose.run import _run, run
from tidegate.settings import Resizer, Settings, load


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a-token\n")
    return path


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Path]:
    """A socket that never responds."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "docker.sock"))
        one.listen()
        yield tmp_path / "docker.sock"


def settings(token_file: Path | None, docker_socket: Path = Path("/nowhere")) -> Settings:
    return load(resizer=Resizer(token_file=token_file, docker_socket=docker_socket))


ErrorOf = Callable[[Settings], str]


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> ErrorOf:
    """The sentence with which a start fails."""

    def start(configured: Settings) -> str:
        assert run(configured) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), err.startswith("resizer: ")) == ("", 1, True)
        return err.removeprefix("resizer: ").rstrip()

    return start


def test_zero_replicas_are_refused(error_of: ErrorOf, token: Path) -> None:
    configured = load(resizer=Resizer(token_file=token), replicas={"min": 0})
    assert error_of(configured).startswith(
        "replicas.min: 0 is not possible in Docker Compose, where a new replica is a copy of"
    )


def test_without_a_token_file(error_of: ErrorOf, tmp_path: Path) -> None:
    name, absent = "resizer.token_file", tmp_path / "absent"
    assert error_of(settings(None)) == (
        f"{name}: not set; it must name the file with the token that clients send"
    )
    assert error_of(settings(absent)) == f"{name}: {absent}: No such file or directory"


def test_without_the_engines_socket(error_of: ErrorOf, token: Path, tmp_path: Path) -> None:
    silent = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(silent))
    reasons = {
        Path("/nowhere"): " does not exist; mount the socket of the Docker engine there",
        tmp_path: " is not a socket; Docker creates a folder for a mount whose source is missing",
        silent: ": Connection refused",
    }
    for path, reason in reasons.items():
        assert error_of(settings(token, path)) == f"resizer.docker_socket: {path}{reason}"


def test_a_socket_without_permission(
    error_of: ErrorOf, token: Path, listener: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tidegate.resizer.compose.run.socket.socket", Forbidden)
    assert error_of(settings(token, listener)) == (
        f"resizer.docker_socket: user {os.geteuid()} may not open {listener}; run as the socket's "
        f"owner, user {os.getuid()}, which needs no capability"
    )


def test_an_engine_that_does_not_respond(
    error_of: ErrorOf, token: Path, listener: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.engine.CALL_SECONDS", 0.1)
    monkeypatch.setattr(
        "tidegate.resizer.compose.engine.Engine._call.__defaults__", (None, None, 0.1)
    )
    assert error_of(settings(token, listener)) == "no response to GET /version within 0.1 s"


async def test_it_serves_replicas_and_metrics_while_it_follows_the_engine(
    served: Callable[..., Any], scene: Any, listener: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = scene.engine

    async def found(*_: object) -> Any:
        return OwnProject("shop", None)

    async def nothing(*_: object) -> list[object]:
        return []

    @asynccontextmanager
    async def opened(_: Path) -> AsyncIterator[Any]:
        yield engine

    for name in ("choose_version", "running_containers"):
        monkeypatch.setattr(engine, name, nothing, raising=False)
    monkeypatch.setattr("tidegate.resizer.compose.run.open_engine", opened)
    monkeypatch.setattr("tidegate.resizer.compose.run.find_own_project", found)

    async def process(configured: Settings) -> None:
        await _run(configured, "")

    status, metrics = await served(process, 2, docker_socket=listener)
    assert (status.desired, status.running) == (2, 2)
    assert "process_resident_memory_bytes" in metrics
