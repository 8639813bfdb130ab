"""The paths, modes and lock of the data folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.stack.data_folder import Layout, StackRunningError


def test_only_the_owner_can_read_the_data_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "deep" / "data")
    layout.make()
    layout.make()
    for folder in (layout.data, *layout.data.iterdir()):
        assert folder.stat().st_mode & 0o777 == 0o700, folder
    assert layout.logs.is_dir()


def test_the_modes_of_an_older_version_are_tightened_except_for_event_files(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path / "data")
    for folder in (layout.data, layout.logs, layout.run, layout.prometheus):
        folder.mkdir()
        folder.chmod(0o775)
    layout.make()
    modes = {folder.name: folder.stat().st_mode & 0o777 for folder in layout.data.iterdir()}
    assert modes == {"run": 0o700, "prometheus": 0o700, "gateway": 0o700, "logs": 0o775}


def test_one_stack_locks_a_folder_and_a_second_one_is_refused_with_its_pid(tmp_path: Path) -> None:
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


def test_the_lock_of_a_killed_stack_is_free(
    tmp_path: Path, holder: Callable[[Path], subprocess.Popen[str]]
) -> None:
    layout = Layout(tmp_path)
    other = holder(tmp_path)
    assert layout.holder() == other.pid
    other.kill()
    other.wait()
    assert layout.holder() is None


def test_a_missing_folder_has_no_holder(tmp_path: Path) -> None:
    assert Layout(tmp_path / "none").holder() is None
