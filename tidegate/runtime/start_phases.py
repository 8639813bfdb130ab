"""What the start of this process takes, by phase, and the word to its supervisor that it can serve."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

READY_FD: Final = "SUPERVISOR_READY_FD"
"""The variable with the descriptor of the supervisor's pipe. One that begins with TIDEGATE_ is a setting."""

_phases: Final[dict[str, float]] = {}


def end_phase(name: str) -> None:
    """End a phase of the start: it lasted from the end of the one before, or from the fork."""
    _phases.setdefault(name, round(_age() - sum(_phases.values()), 3))


def finish_start() -> dict[str, float]:
    """End the start, of which `ready` is the last phase, and tell the supervisor.

    Returns:
        The seconds of each phase in their order; empty if no phase has ended, as in a server of others.
    """
    if _phases:
        end_phase("ready")
    if (descriptor := os.environ.pop(READY_FD, "")).isdecimal():
        with suppress(OSError), open(int(descriptor), "wb") as pipe:  # noqa: PTH123 - it has no path
            pipe.write(json.dumps(_phases).encode() + b"\n")
    return _phases


def _age() -> float:
    """The seconds since this process was forked, to a hundredth (proc_pid_stat(5), `starttime`)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
