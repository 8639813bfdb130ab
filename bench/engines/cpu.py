"""CPU time of processes, to the nanosecond, from /proc."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that all threads of these processes have used; those that ended count nothing."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except OSError:
                continue  # the thread has ended
    return total / 1e9


def tree(pid: int) -> list[int]:
    """A process and all that it started."""
    root = psutil.Process(pid)
    return [pid, *(child.pid for child in root.children(recursive=True))]


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes, shared pages counted once each (proportional set size)."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids)


def command_cpu_seconds(command: Sequence[str], **environment: str) -> tuple[float, str]:
    """The CPU time of a command and its children until it ends, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, done.stdout + done.stderr
