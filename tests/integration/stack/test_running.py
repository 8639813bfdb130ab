"""A running stack: its status, its replicas, and programs that are killed."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from support.eventually import eventually
from support.processes.running_stack import LEFT_ALONE, Stack
from support.processes.running_stack import running as run_stack

pytestmark = pytest.mark.integration

NAMES = ["collector", "prometheus", "gateway", "autoscaler", "watch"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("stack"), artefact, **LEFT_ALONE) as stack:
        yield stack


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_up_detached_returns_when_everything_is_ready(running: Stack) -> None:
    status = json.loads(running.tidegate("status", "--json").stdout)
    assert status["state"] == "ready"
    assert [one["id"] for one in status["components"]] == NAMES
    assert {one["state"] for one in status["components"]} == {"ready"}
    assert (status["desired"], status["ready"]) == (1, 1)
    assert get(f"http://127.0.0.1:{running.port}/live") == 200
    shown = running.tidegate("status")
    assert shown.returncode == 0
    for text in (*NAMES, "flights-1", "tidegate", "1 of 1 replicas ready"):
        assert text in shown.stdout


def test_the_gateway_lists_what_a_person_may_look_for(running: Stack) -> None:
    root = f"http://127.0.0.1:{running.port}/"
    with urllib.request.urlopen(root, timeout=10) as answer:
        found = json.load(answer)
    assert found.pop("service") == "flights"
    assert found["prometheus"] == f"http://127.0.0.1:{running.port + 2}"
    assert {get(urljoin(root, address)) for address in found.values()} == {200}


def test_a_second_stack_in_the_data_folder_is_refused_with_the_pid_of_the_first(
    running: Stack,
) -> None:
    pid = running.status()["pid"]
    for command in (("up",), ("up", "--detach")):
        done = running.tidegate(*command)
        assert done.returncode == 1
        assert f"already running in {running.data} (pid {pid})" in done.stderr


def test_doctor_passes_while_the_stack_runs(running: Stack) -> None:
    done = running.tidegate("doctor")
    assert done.returncode == 0, done.stdout
    assert "used by the stack that runs here" in done.stdout
    assert "failed" not in done.stdout


def test_verify_passes_for_every_component(running: Stack) -> None:
    done = running.tidegate("verify")
    assert done.returncode == 0, done.stdout
    for text in ("spans", "autoscaler decisions", "targets", "rules"):
        assert text in done.stdout
    assert re.search(r"All \d+ checks passed \(6 skipped\)\.", done.stdout)


def test_verify_names_the_component_that_does_not_answer(running: Stack) -> None:
    pid = running.program("watch")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        failed = eventually(
            lambda: (
                done if (done := running.tidegate("verify", "--wait", "0")).returncode else None
            ),
            "the watcher is missed",
        )
        assert re.search(r"targets +failed", failed.stdout)
        assert "watch: http://" in failed.stdout
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_prometheus_scrapes_the_current_replicas(running: Stack) -> None:
    targets = running.data / "prometheus" / "targets" / "model.json"
    await running.scale(2)
    assert f"127.0.0.1:{running.first_replica + 1}" in targets.read_text()
    await running.scale(1)
    assert targets.read_text().count("127.0.0.1:") == 1


@pytest.mark.parametrize("name", [*NAMES, "flights-1"])
def test_a_killed_program_restarts_and_its_exit_is_an_event(running: Stack, name: str) -> None:
    before, after = running.kill(name)
    eventually(lambda: get(f"http://127.0.0.1:{running.port}/ready") == 200, "it serves")
    assert after["restarts"] == before["restarts"] + 1
    query = f'event.dataset:tidegate.stack AND event.action:exit AND tidegate.component:"{name}"'
    eventually(lambda: running.search(query).total, "its end is in the store")


def test_the_raw_output_of_each_program_is_in_a_file(running: Stack) -> None:
    names = {path.name for path in (running.data / "run").glob("*.log")}
    assert {f"{name}.log" for name in [*NAMES, "flights-1", "supervisor"]} <= names
