"""The phases of a start, as a process tells its supervisor."""

from __future__ import annotations

import json
import os
import subprocess
import sys

START = """
import json
from tidegate.runtime.start_phases import end_phase, finish_start
for name in {names!r}:
    end_phase(name)
print(json.dumps([finish_start(), finish_start()]))
"""


def started(*names: str) -> tuple[list[dict[str, float]], bytes]:
    """What two ends of a start return, and what the supervisor is told."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe:
        try:
            done = subprocess.run(
                [sys.executable, "-c", START.format(names=names)],
                env={**os.environ, "SUPERVISOR_READY_FD": str(write_end)},
                pass_fds=(write_end,),
                capture_output=True,
                check=True,
            )
        finally:
            os.close(write_end)
        return json.loads(done.stdout), pipe.read()


def test_the_phases_follow_each_other_from_the_fork_and_the_first_end_of_each_counts() -> None:
    (phases, again), told = started("python", "imports", "python")
    assert list(phases) == ["python", "imports", "ready"]
    assert phases["python"] > 0, "the interpreter itself has started"
    assert again == phases
    assert json.loads(told) == phases


def test_a_server_of_others_tells_only_that_it_is_ready() -> None:
    found, told = started()
    assert (found, told) == ([{}, {}], b"{}\n")
