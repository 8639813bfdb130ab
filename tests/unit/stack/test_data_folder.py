"""The data folder has one stack at a time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.stack.data_folder import Layout, StackRunningError


def test_only_the_owner_may_look_into_the_data_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "deep" / "data")
    layout.make()
    layout.make()
    for folder in (layout.data, *layout.data.iterdir()):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    assert layout.logs.is_dir()


def test_what_an_older_version_left_open_to_all_is_closed_but_for_what_others_write_to(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path / "data")
    for folder in (layout.data, layout.logs, layout.run, layout.prometheus):
        folder.mkdir()
        folder.chmod(0o775)
    layout.make()
    modes = {folder.name: folder.stat().st_mode & 0o777 for folder in layout.data.iterdir()}
    assert modes == {"run": 0o700, "prometheus": 0o700, "gateway": 0o700, "logs": 0o775}


def test_a_folder_is_held_by_one_stack_and_the_other_is_told_its_pid(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    assert layout.holder() is None
    with layout.locked():
        assert layout.holder() == os.getpid()
        with pytest.raises(StackRunningError, match=rf"\(pid {os.getpid()}\)"), layout.locked():
            pass
    assert layout.holder() is None
    with layout.locked():
        assert layout.holder() == os.getpid()


def test_a_killed_stack_holds_nothing(
    tmp_path: Path, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    layout = Layout(tmp_path)
    other = holder(tmp_path)
    assert layout.holder() == other.pid
    other.kill()
    other.wait()
    assert layout.holder() is None


def test_no_folder_is_held_by_nobody(tmp_path: Path) -> None:
    assert Layout(tmp_path / "none").holder() is None
