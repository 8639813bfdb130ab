"""The server process: its port, and the errors at its start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tidegate.service.__main__ import main


def test_the_error_of_a_port_in_use_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--port", str(port)]) == 2
    assert f"port {port}: Address already in use" in capsys.readouterr().err


def test_the_error_of_an_invalid_setting_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_SLOTS__PER_REPLICA", "0")
    assert main(["--port", "21101"]) == 2
    assert "slots.per_replica" in capsys.readouterr().err


def test_a_port_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "--port" in capsys.readouterr().err
