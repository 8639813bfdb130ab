"""`tidegate serve`: which application it serves, and what it refuses before it starts one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli import app

PLAIN = "async def app(scope, receive, send): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    return tmp_path


def test_without_an_application_it_asks_for_one(folder: Path) -> None:
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "name your application, such as `tidegate serve shop.main:app`" in result.stderr


def test_a_folder_that_does_not_exist_is_named(folder: Path) -> None:
    result = CliRunner().invoke(app, ["serve", "shop:app", "--app-dir", "nowhere"])
    assert (result.exit_code, result.stderr) == (2, "--app-dir: nowhere is not a folder\n")


def test_the_application_is_that_of_the_settings(folder: Path) -> None:
    (folder / "tidegate.toml").write_text('[service]\napp = "cakes.main:app"\napp_dir = "src"\n')
    (folder / "src").mkdir()
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 1
    assert f"there is no module cakes in {folder / 'src'}" in result.stderr


def test_a_port_in_use_is_named(folder: Path) -> None:

    (folder / "own_shop.py").write_text(PLAIN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "own_shop:app", "--port", port])
    assert result.exit_code == 2
    assert f"port {port}: Address already in use" in result.stderr


def test_an_import_that_hangs_says_where_before_the_time_to_start_is_over(tmp_path: Path) -> None:
    (tmp_path / "slow_shop.py").write_text(
        "import pathlib\n"
        f"ready = pathlib.Path({str(tmp_path / 'go')!r})\n"
        "def wait_for_database():\n"
        "    while not ready.exists():\n"
        "        pass\n"
        "wait_for_database()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tidegate.serving", "slow_shop:app", "--port", "1"],
        cwd=tmp_path,
        env={**os.environ, "TIDEGATE_REPLICAS__START_SECONDS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        frames = [process.stderr.readline() for _ in range(6)]
        (tmp_path / "go").touch()
        process.communicate(timeout=60)
    assert said == (
        "slow_shop:app is still being imported after 0.8 s (replicas.start_seconds is 1), here:\n"
    )
    assert any("in wait_for_database" in line for line in frames), frames


def test_an_import_that_is_quick_says_nothing(folder: Path) -> None:
    (folder / "tidegate.toml").write_text("[replicas]\nstart_seconds = 1\n")
    (folder / "quick_shop.py").write_text(PLAIN)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["serve", "quick_shop:app", "--port", port])
    assert "still being imported" not in result.stderr
