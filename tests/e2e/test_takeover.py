"""`tidegate up --replace`: a stack takes the place of a running one, under load."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.checkout import ROOT
from support.components import IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack, prepared
from tidegate.collector.run import deliver_now
from tidegate.stack.data_folder import Layout

pytestmark = [pytest.mark.e2e, IN_CI]

RATE, SECONDS = 15, 600
SENT = ("--path", "/work", "--method", "GET")
DETACHED = "tidegate.terminal.detached"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    server = str(ROOT / "tests" / "support" / "samples" / "plain_server.py")
    stack = prepared(
        tmp_path / ("a-long-name-" * 9),
        tmp_path / "no-artefact",
        replicas={"command": [sys.executable, server, "{port}"], "start": 2},
        autoscaler={"enabled": False},
        drift={"watch": False},
    )
    with stack.up():
        yield stack


def holder(stack: Stack) -> psutil.Process:
    pid = Layout(stack.data).holder()
    assert pid
    return psutil.Process(pid)


def replacement(stack: Stack) -> subprocess.Popen[str]:
    return stack.start("up", "--replace", "--detach")


def successor(stack: Stack) -> psutil.Process:
    """The supervisor that is about to replace that of the folder."""
    old = holder(stack).pid

    def found() -> psutil.Process | None:
        for process in psutil.process_iter():
            try:
                command, variables = process.cmdline(), process.environ()
            except psutil.Error:
                continue
            here = variables.get("TIDEGATE_STACK__DATA_DIR") == str(stack.data)
            if here and DETACHED in command and process.pid != old:
                return process
        return None

    return eventually(found, "a supervisor replaces that of the folder")


def until_said(stack: Stack, text: str) -> None:
    output = stack.data / "run" / "supervisor.log"
    eventually(lambda: text in output.read_text(), f"a supervisor says: {text}")


def stored(stack: Stack) -> list[dict[str, Any]]:
    return stack.search("event.dataset:tidegate.access AND url.path:\\/work", 10_000).hits


def answers(stack: Stack) -> None:
    """Wait until the stack has delivered the events of some more requests."""
    before = len(stored(stack))
    eventually(lambda: len(stored(stack)) > before + RATE, "it answers")


def test_a_stack_takes_over_under_load_and_no_request_fails(stack: Stack, tmp_path: Path) -> None:
    with stack.load(tmp_path / "load", *SENT, phases=constant(SECONDS, RATE)) as load:
        for slots in (3, 2):
            answers(stack)
            old = holder(stack)
            first = stack.status()["replicas"][0]["address"]
            done = stack.tidegate(
                "up", "--replace", "--detach", TIDEGATE_SLOTS__PER_REPLICA=str(slots)
            )
            assert done.returncode == 0, done.stdout + done.stderr
            old.wait(60)  # it has released the folder, and ends
            status = stack.status()
            assert (status["state"], status["own_slots"], status["ready"]) == ("ready", slots, 2)
            assert status["replicas"][0]["address"] != first
        answers(stack)
        summary = load.stop()
    assert stack.tidegate("down").returncode == 0
    assert summary["sent"] == summary["answered"], summary
    assert (summary["failed"], summary["errors"]) == (0, {}), summary
    assert deliver_now(stack.settings)
    hits = stored(stack)
    assert len({hit["event"]["id"] for hit in hits}) == len(hits) == summary["answered"]


def test_whichever_side_is_killed_the_other_one_serves(stack: Stack) -> None:
    old = holder(stack)
    # A successor that cannot start changes nothing.
    never = {"TIDEGATE_REPLICAS__READY_PATH": "/none", "TIDEGATE_REPLICAS__START_SECONDS": "3"}
    failed = stack.tidegate("up", "--replace", "--detach", **never)
    assert failed.returncode == 1
    assert "did not become ready" in failed.stderr
    with replacement(stack):
        new = successor(stack)
        until_said(stack, "another stack takes over")
        new.send_signal(signal.SIGKILL)
    until_said(stack, "did not become ready: this one goes on")
    eventually(lambda: stack.status()["state"] == "ready", "the old stack has all programs again")
    assert holder(stack) == old
    assert stack.send("/work").status == 200
    with replacement(stack) as replacing:
        new = successor(stack)
        eventually(lambda: stack.program("collector")["state"] == "gone", "it has handed over")
        old.send_signal(signal.SIGKILL)
        said, _ = replacing.communicate(timeout=120)
    assert replacing.returncode == 0, said
    assert holder(stack) == new
    assert stack.status()["state"] == "ready"
    assert stack.send("/work").status == 200
