"""The data folder has one stack at a time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.stack.layout import Layout, StackRunningError


def test_only_the_owner_may_look_into_the_run_folder(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "deep" / "data")
    layout.make()
    layout.make()
    assert layout.run.stat().st_mode & 0o777 == 0o700
    assert layout.logs.is_dir()


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
