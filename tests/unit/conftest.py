"""The time of recent events; a process that locks a data folder as the supervisor of a running stack does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.samples.recent_events import now_ns

# Locks a data folder like a supervisor, without a control socket; with `ignore` it ignores SIGTERM.
LOCK_HOLDER = """
import signal, sys
from pathlib import Path
from tidegate.stack.data_folder import Layout
if sys.argv[2] == "ignore":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
layout = Layout(Path(sys.argv[1]))
layout.make()
with layout.locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def recent() -> None:
    """Let the events of each file be recent: a worker runs for longer than the five minutes of a search."""
    now_ns.cache_clear()


@pytest.fixture
def holder() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that holds the lock of a data folder."""
    started: list[subprocess.Popen[str]] = []

    def hold(folder: Path, *, ignore_sigterm: bool = False) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", LOCK_HOLDER, str(folder), "ignore" if ignore_sigterm else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()
