"""A lock is exclusive, and is released when its process is killed."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.runtime.locks import LockedError, exclusive_lock, temporary_lock

HOLD = """
import sys
from pathlib import Path
from tidegate.runtime.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_free_after_its_block(path: Path) -> None:
    for _ in range(2):
        with exclusive_lock(path):
            assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_lock_of_another_process_is_refused_after_the_wait(
    path: Path, other: subprocess.Popen[str], seconds: float
) -> None:
    began = time.monotonic()
    with pytest.raises(LockedError, match="lock is locked"), exclusive_lock(path, seconds):
        pass
    assert time.monotonic() - began >= seconds
    assert other.poll() is None


@pytest.mark.parametrize("seconds", [60.0, None])
def test_a_waiting_process_gets_the_lock_when_the_other_one_is_killed(
    path: Path, other: subprocess.Popen[str], seconds: float | None
) -> None:
    end: Callable[[], None] = other.kill
    timer = threading.Timer(0.1, end)
    timer.start()
    with exclusive_lock(path, seconds):
        assert other.wait(10) == -9
    timer.join()


def test_a_temporary_lock_leaves_no_file_also_after_an_error(path: Path) -> None:
    with temporary_lock(path):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), temporary_lock(path):
        raise ZeroDivisionError
    assert not path.exists()


def test_a_temporary_lock_excludes_others_though_its_file_is_removed_at_the_end(path: Path) -> None:
    inside, most, entered = 0, 0, 0

    def enter() -> None:
        nonlocal inside, most, entered
        for _ in range(50):
            with temporary_lock(path):
                inside += 1
                most = max(most, inside)
                entered += 1
                time.sleep(0.0002)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, entered) == (1, 200)
