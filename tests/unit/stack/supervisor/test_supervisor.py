"""The background loops of the supervisor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from support.eventually import eventually_async
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ResizeRefusedError
from tidegate.service.artefacts import import_report
from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.settings import load
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.replicas import release as releases
from tidegate.stack.replicas.release import Release, ReleaseRefusedError
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.supervisor import supervisor as module
from tidegate.stack.supervisor.control_client import request_deploy
from tidegate.stack.supervisor.programs import console_problem, console_url
from tidegate.stack.supervisor.supervisor import StartError, Supervisor
from tidegate.terminal.run import running_stack


async def test_a_background_loop_that_raises_runs_again_and_the_status_counts_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []

    async def fails_once() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("x")

    async with running_stack(load(stack={"data_dir": tmp_path / "data"})) as supervisor:
        supervisor._background("replicas", fails_once)
        await eventually_async(lambda: len(calls) == 2)
        status = supervisor.status()
        assert status.faults == 1
        assert "replicas" in [one.component for one in status.recent if one.action == "fault"]


async def test_a_stack_that_is_being_replaced_refuses_what_would_be_lost_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(stack={"data_dir": tmp_path / "data"})
    socket = Layout(settings.stack.data_dir).socket
    async with running_stack(settings) as supervisor:
        await supervisor._pause()
        with pytest.raises(ReleaseRefusedError, match="another stack takes over"):
            await asyncio.to_thread(request_deploy, socket, None)
        client = ResizerClient(f"unix:{socket}")
        with pytest.raises(ResizeRefusedError, match="try again when it is ready"):
            await client.resize(2)
        assert (await client.status()).desired == 1


async def test_of_two_starts_at_once_the_second_names_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(stack={"data_dir": tmp_path / "data"})
    async with running_stack(settings):
        with pytest.raises(StackRunningError, match=rf"\(pid {os.getpid()}\)"):
            async with running_stack(settings):
                pass


PROGRAMS = ("prometheus", "collector", "autoscaler", "watch", "console")


@pytest.fixture
async def without_programs(
    flights: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Supervisor]:
    """A supervisor whose programs are ready at once, without being started."""

    async def ready(*_: object) -> None:
        return None

    async def gateway() -> str:
        return "gateway"

    monkeypatch.chdir(tmp_path)
    settings = load(
        stack={"data_dir": tmp_path / "data"},
        autoscaler={"enabled": False},
        replicas={"min": 0, "start": 0},
        model={"path": flights.path},
    )
    async with running_stack(settings) as supervisor:
        for name in ("_until_ready", "_until_loaded"):
            monkeypatch.setattr(supervisor, name, ready)
        monkeypatch.setattr(supervisor, "_start_component", lambda *_: None)
        others = {name: partial(str, name) for name in PROGRAMS}
        programs = SimpleNamespace(**others, gateway=gateway)
        monkeypatch.setattr(supervisor, "_programs", programs)
        yield supervisor


async def test_a_stack_is_ready_when_its_gateway_reaches_a_replica(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = ["503", "503", ""]
    started: list[str] = []

    async def probe(url: str) -> str:
        assert url.endswith(":8000/ready")
        assert without_programs.status().state == "starting"
        # What no request needs would make the replica's start longer.
        assert started[:3] == ["collector", "prometheus", "gateway"]
        assert not {"autoscaler", "watch", "console"} & {*started}
        return problems.pop(0)

    monkeypatch.setattr(without_programs, "_probe", probe)
    monkeypatch.setattr(
        without_programs, "_start_component", lambda name, *_: started.append(str(name))
    )
    await without_programs.start()
    assert (problems, without_programs.status().state) == ([], "ready")


@pytest.mark.parametrize(
    ("host", "console", "expected"),
    [
        ("127.0.0.1", {}, ""),
        ("127.0.0.1", {"enabled": False}, "console.enabled is false"),
        ("0.0.0.0", {}, "set console.token_file"),
        ("0.0.0.0", {"token_file": "secret"}, ""),
    ],
)
def test_a_console_that_other_machines_reach_is_left_out_without_a_token(
    host: str, console: dict[str, Any], expected: str
) -> None:
    settings = load(stack={"host": host}, console=console)
    assert expected in console_problem(settings)
    assert bool(console_url(settings)) == (not expected)


async def test_a_console_that_does_not_start_stops_no_stack(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ready(*_: object) -> str:
        return ""

    async def failed() -> str:
        return "console.port: 8080 is taken"

    def start(name: str | None, *_: object) -> SimpleNamespace:
        process = SimpleNamespace(
            program=SimpleNamespace(name=name),
            first_ready=failed if name == "console" else ready,
            stop=ready,
        )
        without_programs._components[str(name)] = cast("ProcessSupervisor", process)
        return process

    monkeypatch.setattr(without_programs, "_start_component", start)
    monkeypatch.setattr(
        without_programs, "_until_ready", partial(Supervisor._until_ready, without_programs)
    )
    monkeypatch.setattr(without_programs, "_probe", ready)
    await without_programs.start()
    assert "console" in without_programs._components
    assert without_programs._state == "ready"


async def test_a_gateway_starts_alone_if_the_other_is_killed_before_it_hands_over(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    async def ready(*_: object) -> str:
        return ""

    def start(name: object, *_: object) -> SimpleNamespace:
        async def first_ready() -> str:
            return "failed to get the sockets" if name == "gateway -x" else ""

        started.append(str(name))
        return SimpleNamespace(first_ready=first_ready, stop=ready)

    predecessor = SimpleNamespace(
        status=SimpleNamespace(release=None),
        desired=lambda _: 0,
        do=ready,
        end=ready,
        holds=lambda: False,
        taking_over=lambda program: f"{program} -x",
    )
    for name, value in (("_predecessor", predecessor), ("_take_folder", ready)):
        monkeypatch.setattr(without_programs, name, value)
    monkeypatch.setattr(without_programs, "_start_component", start)
    monkeypatch.setattr(without_programs, "_probe", ready)
    await without_programs.start()
    assert [one for one in started if "gateway" in one] == ["gateway -x", "gateway"]


async def test_a_gateway_that_reaches_no_replica_is_why_the_stack_does_not_start(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(_: str) -> str:
        return "no server"

    monkeypatch.setattr(module, "START_SECONDS", 0.05)
    monkeypatch.setattr(without_programs, "_probe", probe)
    with pytest.raises(StartError, match="the gateway reaches no replica: no server"):
        await without_programs.start()


async def test_a_start_says_what_answers_in_place_of_onnx(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(*_: object) -> Release:
        return Release(path=Path(), name="wine", version="2", served_by="served by the original")

    def start(_: object) -> None:
        raise StartError("this far")

    monkeypatch.setattr(releases, "read_release", found)
    monkeypatch.setattr(ReplicaPool, "start", start)
    with pytest.raises(StartError, match="this far"):
        await without_programs.start()
    recent = without_programs.event_log.recent
    assert "wine 2 is served by the original" in [entry.message for entry in recent]


async def test_a_model_is_converted_before_replicas_start_and_a_person_sees_how_long(
    without_programs: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, said, started = without_programs, asyncio.Event(), list[int]()

    async def slow(*_: object) -> Release:
        await said.wait()
        raise ArtefactError("wine.joblib cannot be served: it is empty")

    monkeypatch.setattr(releases, "read_release", slow)
    monkeypatch.setattr(import_report, "READING_SECONDS", 0.01)
    monkeypatch.setattr(ReplicaPool, "start", lambda _: started.append(1))
    supervisor.event_log.listeners.append(
        lambda entry: said.set() if entry.action == "prepare" else None
    )
    with pytest.raises(StartError, match=r"wine\.joblib cannot be served: it is empty"):
        await supervisor.start()
    assert started == []
    assert any("s so far" in entry.message for entry in supervisor.event_log.recent)
