"""Deliveries that are killed before each of their changes of a data folder."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Final

from support.releases.data import ReleaseData
from tidegate.collector.run import deliver_now

# What changes a folder, as Python announces it (docs.python.org/3/library/audit_events.html).
CHANGES: Final = frozenset(
    {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "open"}
)
WRITES: Final = os.O_WRONLY | os.O_RDWR


def killed_deliveries(release: ReleaseData, folder: Path) -> list[ReleaseData]:
    """Copies of a release's data after a delivery that was killed before its first change, its second …

    The last one was not killed. They are in a process of their own, as a fork must not have used tantivy.
    """
    process = multiprocessing.get_context("spawn").Process(target=_sweep, args=(release, folder))
    process.start()
    process.join()
    assert process.exitcode == 0
    return [ReleaseData(folder / str(number)) for number in range(len([*folder.iterdir()]))]


def _sweep(release: ReleaseData, folder: Path) -> None:
    for number in count():
        copy = ReleaseData(folder / str(number))
        shutil.copytree(release.folder, copy.folder)
        child = os.fork()
        if child == 0:
            _run(number, copy)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


def _run(number: int, release: ReleaseData) -> None:
    """Deliver, and be killed before the change of this number."""
    settings, code = release.settings, 1
    try:
        sys.addaudithook(_killer(number, str(release.data)))
        code = int(not deliver_now(settings))
    finally:
        os._exit(code)


def _killer(number: int, data: str) -> Callable[[str, tuple[object, ...]], None]:
    left = number

    def look(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in CHANGES or not any(str(one).startswith(data) for one in arguments):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITES):
            return
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return look
