"""A Unix socket has one listener, is private, and works at a path of any length."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from tidegate.runtime.unix_sockets import (
    ADDRESS_BYTES,
    AddressInUseError,
    unix_address,
    unix_listener,
)


def deep(folder: Path) -> Path:
    return folder / ("d" * 100) / ("e" * 100) / "control.sock"


def connect(path: Path) -> socket.socket:
    with unix_address(path) as address:
        client = socket.socket(socket.AF_UNIX)
        client.connect(address)
    return client


def is_served(path: Path, listener: socket.socket) -> bool:
    with connect(path):
        listener.settimeout(10)
        listener.accept()[0].close()
    return True


@pytest.mark.parametrize("relative", [False, True])
def test_a_path_longer_than_a_unix_address_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = deep(Path() if relative else tmp_path)
    assert len(os.fsencode(path)) > ADDRESS_BYTES
    with unix_listener(path) as listener:
        assert is_served(path, listener)
        said = r"control\.sock is in use: another process"
        with pytest.raises(AddressInUseError, match=said), unix_listener(path):
            pass
        assert is_served(path, listener)
    assert not path.exists()


def test_the_mode_does_not_depend_on_the_umask_and_the_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    before = os.umask(0)
    try:
        with unix_listener(path):
            mode = path.stat().st_mode
    finally:
        os.umask(before)
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert not path.exists()


@pytest.mark.parametrize("name", ["short", "long"])
def test_the_socket_of_a_killed_process_is_replaced(tmp_path: Path, name: str) -> None:
    path = deep(tmp_path) if name == "long" else tmp_path / "control.sock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as killed, unix_address(path) as address:
        killed.bind(address)
    assert path.exists()
    with unix_listener(path) as listener:
        assert is_served(path, listener)


def test_a_socket_whose_queue_is_full_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        with connect(path), pytest.raises(AddressInUseError), unix_listener(path):
            pass
        assert path.exists()


def test_a_file_that_is_not_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(AddressInUseError, match="it is not a socket"), unix_listener(path):
        pass
    assert path.read_text() == "precious"


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with unix_listener(path):
        path.unlink()
        path.write_text("of a successor")
    assert path.exists()
