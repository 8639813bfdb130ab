"""What keeps it from starting is said in a sentence that names the setting."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.resizer.compose.run import run
from tidegate.settings import Resizer, Settings, load


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a-token\n")
    return path


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Path]:
    """A socket at which nobody answers."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "docker.sock"))
        one.listen()
        yield tmp_path / "docker.sock"


def settings(token_file: Path | None, docker_socket: Path = Path("/nowhere")) -> Settings:
    return load(resizer=Resizer(token_file=token_file, docker_socket=docker_socket))


def said(capsys: pytest.CaptureFixture[str], asked: Settings) -> str:
    assert run(asked) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("resizer: ")
    assert err.count("\n") == 1
    return err.removeprefix("resizer: ").rstrip()


def test_zero_replicas_are_refused(capsys: pytest.CaptureFixture[str], token: Path) -> None:
    asked = load(resizer=Resizer(token_file=token), replicas={"min": 0})
    assert said(capsys, asked).startswith(
        "replicas.min: 0 is not possible in Docker Compose, where a new replica is made as a copy"
    )


def test_without_a_token_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "resizer.token_file"
    assert said(capsys, settings(None)) == (
        f"{name}: not set; it names the file with the token of every request"
    )
    absent, empty, binary = (tmp_path / one for one in ("absent", "empty", "binary"))
    empty.write_text(" \n")
    binary.write_bytes(b"\xff\xfe")
    assert said(capsys, settings(absent)) == f"{name}: {absent}: No such file or directory"
    assert said(capsys, settings(empty)) == f"{name}: {empty} is empty"
    assert said(capsys, settings(binary)) == f"{name}: {binary} is not text"


def test_without_the_engines_socket(
    capsys: pytest.CaptureFixture[str], token: Path, tmp_path: Path
) -> None:
    name = "resizer.docker_socket"
    assert said(capsys, settings(token)) == (
        f"{name}: there is no /nowhere; mount the Docker engine's socket there"
    )
    assert said(capsys, settings(token, tmp_path)) == (
        f"{name}: {tmp_path} is not a socket; Docker makes a folder of a mount whose source is missing"
    )


def test_a_socket_at_which_no_engine_listens(
    capsys: pytest.CaptureFixture[str], token: Path, tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
    assert said(capsys, settings(token, path)) == (
        f"resizer.docker_socket: {path}: Connection refused"
    )


def test_a_socket_that_may_not_be_opened(
    capsys: pytest.CaptureFixture[str],
    token: Path,
    listener: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forbidden(socket.socket):
        def connect(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tidegate.resizer.compose.run.socket.socket", Forbidden)
    assert said(capsys, settings(token, listener)) == (
        f"resizer.docker_socket: user {os.geteuid()} may not open {listener}; run as the socket's "
        f"owner, user {os.getuid()} (which needs no capability for that)"
    )


def test_an_engine_that_does_not_answer(
    capsys: pytest.CaptureFixture[str],
    token: Path,
    listener: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.engine.CALL_SECONDS", 0.1)
    monkeypatch.setattr(
        "tidegate.resizer.compose.engine.Engine._call.__defaults__", (None, None, 0.1)
    )
    assert said(capsys, settings(token, listener)) == "no answer to GET /version within 0.1 s"
