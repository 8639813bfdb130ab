"""The short form of `make soak`: each process of a real stack is killed and stopped, under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.account import Request, Window, settle
from soak.injection import Injection, processes
from soak.run import run
from soak.schedule import Fault, in_pairs
from soak.stacks import SOAKED
from support.processes.running_stack import running

pytestmark = pytest.mark.e2e

SEED = 41
SECONDS = 3.0
RATE = 15.0
EVENT = {"event": {"id": "1", "dataset": "tidegate.request"}, "trace": {"id": "a"}}
REASON = {"event": {"id": "2", "dataset": "tidegate.access", "reason": "overload"}}
ANSWERED = Request(1, 1, 2, 200, "", "a")
REFUSED = Request(1, 1, 2, 503, "HTTP 503", "")


@pytest.mark.parametrize(
    ("requests", "events", "written", "wrong"),
    [
        ([ANSWERED], [EVENT], ["1"], ""),
        ([ANSWERED], [], [], "answered without an event"),
        ([ANSWERED], [], ["1"], "written and not stored"),
        ([ANSWERED], [EVENT, EVENT], ["1"], "stored twice"),
        ([Request(1, 1, None, 0, "", "")], [], [], "neither an answer nor a reason"),
        ([Request(1, 1, 2, 0, "disconnected", "")], [], [], "though the gateway was there"),
        ([Request(5, 5, 6, 0, "connection refused", "")], [], [], ""),
        ([Request(8, 8, 8, 0, "connection refused", "")], [], [], "though the gateway was there"),
        ([Request(5, 5, 6, 503, "HTTP 503", "")], [], [], ""),
        ([REFUSED], [REASON], ["2"], ""),
        ([REFUSED, REFUSED], [REASON], ["2"], "2 refused while all replicas were there, 1 with"),
        ([Request(21, 21, 22, 200, "", "a")], [], [], ""),
        ([Request(31, 31, 32, 200, "", "a")], [], [], "answered without an event"),
    ],
)
def test_the_account_names_what_is_lost_doubled_or_unexplained(
    requests: list[Request], events: list[dict[str, object]], written: list[str], wrong: str
) -> None:
    windows = [
        # Answered again at 7, although all is ready only at 9.
        Window((Fault("kill", "gateway"),), 4, 4, 7, 9),
        Window((Fault("disk", "data", 3),), 20, 23, 24, 25),
    ]
    account = settle(requests, events, written, windows)
    assert wrong in str(account.wrong)
    assert bool(wrong) == bool(account.wrong), account.wrong


def test_a_stack_whose_processes_are_killed_and_stopped_loses_and_doubles_nothing(
    tmp_path: Path, artefact: Path
) -> None:
    with running(tmp_path / "stack", artefact, **SOAKED) as stack:
        parts = sorted(processes(stack))
        kills = [Fault("kill", part) for part in parts]
        stops = [Fault("stop", part, SECONDS) for part in parts]
        # In pairs, for time's sake: `make soak` has each alone.
        steps = [*in_pairs(SEED, kills), *in_pairs(SEED, stops)]
        report = run(stack, tmp_path / "load", steps, Injection(stack), rate=RATE)
    print("\n".join(report.lines()))
    assert report.account.wrong == []
    assert report.account.answered > 0
