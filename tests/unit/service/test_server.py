"""The server process: its port, and the errors at its start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tidegate.service.__main__ import main
from tidegate.service.server import run
from tidegate.serving import PortInUseError
from tidegate.settings import Settings


def test_the_error_of_a_port_in_use_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(stack={"data_dir": tmp_path})
        with pytest.raises(PortInUseError, match=f"port {port}: Address already in use"):
            run(settings, host="127.0.0.1", port=port)


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
