"""`tidegate down`; it imports nothing of a start, which takes twice the time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

from tidegate.checks.ports import lost_stack
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.processes.running_settings import running_settings
from tidegate.stack.supervisor.programs import stop_seconds
from tidegate.terminal_console import Console

# Added to the time limit of a stop, for the exit of the supervisor itself and for a busy machine.
GRACE_SECONDS: Final = 15.0


def down(settings: Settings) -> int:
    """Stop the stack, and wait until it has stopped. Does nothing if no stack runs.

    Returns:
        The exit code: 0 if it has stopped, 1 if it had to be killed.
    """
    console = Console()
    settings = with_absolute_paths(settings, Path.cwd())
    layout = Layout(settings.stack.data_dir)
    pid = layout.holder()
    if not pid:
        lost = lost_stack(settings)
        console.say(lost or f"no stack runs in {layout.data}")
        return 1 if lost else 0
    console.say("stopping: finishing requests, delivering events")
    limit = stop_seconds(running_settings(layout, pid) or settings) + GRACE_SECONDS
    _signal(pid, signal.SIGTERM)
    if _wait_until_stopped(layout, pid, limit):
        console.say("stopped")
        return 0
    # Its child processes die with it.
    _signal(pid, signal.SIGKILL)
    _wait_until_stopped(layout, pid, GRACE_SECONDS)
    console.say(f"killed: the supervisor (pid {pid}) did not stop in time")
    return 1


def _signal(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        return


def _wait_until_stopped(layout: Layout, pid: int, seconds: float) -> bool:
    """Whether the supervisor releases the lock of the folder within `seconds`."""
    deadline = time.monotonic() + seconds
    while layout.holder() == pid:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
