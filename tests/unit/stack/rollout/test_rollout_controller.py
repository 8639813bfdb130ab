"""`tidegate deploy` and `PUT /model` of the control socket: rollouts and refusals."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from support.eventually import eventually_async
from tidegate.resizer.server import serve_unix
from tidegate.runtime.event_log import EventLog
from tidegate.service.model.artefact import write_manifest
from tidegate.stack.data_folder import Layout
from tidegate.stack.gateway.runtime_api import RuntimeApi
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.replicas import release
from tidegate.stack.replicas.release import Release, ReleaseRefusedError, admit
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.rollout.rollout_controller import RolloutController
from tidegate.stack.supervisor.control_client import ControlError, request_deploy

NO_GATEWAY = RuntimeApi(Path("/no/gateway"))
OLD = Release(path=Path("old"), digest="0123456789abcdef")
NEW = Release(path=Path("/new"), name="flights", version="2", digest="123456789abcdef0")
ENV = dict(os.environ)


def no_process(index: int, release: Release) -> ProcessSupervisor:
    raise AssertionError(index, release)


@pytest.fixture
def rollouts(event_log: EventLog, tmp_path: Path) -> RolloutController:
    """The controller of a pool without replicas, where a rollout is done at once."""
    pool = ReplicaPool(no_process, event_log, NO_GATEWAY, max_replicas=2, desired=0, release=OLD)
    return RolloutController(pool, event_log, tmp_path / "models", ENV, Path.cwd())


def admission(answer: Release | str) -> Any:
    async def take(*arguments: Any) -> Release:
        await asyncio.sleep(0)
        if isinstance(answer, str):
            raise ReleaseRefusedError(answer)
        return answer

    return take


async def test_put_model_accepts_an_artefact_or_refuses_it_with_a_reason(
    rollouts: RolloutController, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = web.Application()
    rollouts.add_routes(app)
    async with TestClient(TestServer(app)) as client:
        bad = await client.put("/model", json={"where": "x"})
        assert (bad.status, "error" in await bad.json()) == (400, True)
        monkeypatch.setattr(
            "tidegate.stack.rollout.rollout_controller.admit", admission("it does not load")
        )
        refused = await client.put("/model", json={"path": "/x"})
        assert (refused.status, await refused.json()) == (409, {"error": "it does not load"})
        assert rollouts.pool.release == OLD
        monkeypatch.setattr("tidegate.stack.rollout.rollout_controller.admit", admission(NEW))
        taken = await client.put("/model", json={"path": "/x"})
        assert (taken.status, (await taken.json())["version"]) == (202, "2")
        await eventually_async(lambda: not rollouts.busy)
    assert rollouts.rollout is not None
    assert rollouts.rollout.state == "done"
    assert rollouts.pool.release == NEW
    actions = [entry.action for entry in rollouts.event_log.recent]
    assert actions == ["refuse", "deploy", "deployed"]


async def test_an_unexpected_error_ends_the_rollout_and_the_next_one_may_begin(
    rollouts: RolloutController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.rollout.rollout_controller.admit", admission(NEW))

    def fails(release: Release) -> None:
        raise ValueError(release.label)

    with monkeypatch.context() as broken:
        broken.setattr(ReplicaPool, "set_release", lambda pool, release: fails(release))
        await rollouts.deploy(Path("/x"))
        await eventually_async(lambda: not rollouts.busy)
    assert rollouts.rollout is not None
    ended = rollouts.rollout.status
    assert ended.state == "failed"
    assert "unexpected error: ValueError" in ended.problem
    assert rollouts.event_log.faults == 1
    await rollouts.deploy(Path("/x"))
    await eventually_async(lambda: not rollouts.busy)
    assert rollouts.rollout.state == "done"


async def test_one_rollout_runs_at_a_time_and_a_stop_cancels_it(
    rollouts: RolloutController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.stack.rollout.rollout_controller.admit", admission(NEW))
    await rollouts.stop()  # no rollout is in progress
    checking = asyncio.create_task(rollouts.deploy(Path("/x")))
    await asyncio.sleep(0)
    with pytest.raises(ReleaseRefusedError, match="another rollout is in progress"):
        await rollouts.deploy(Path("/y"))
    await checking
    await rollouts.stop()
    assert not rollouts.busy


async def test_nothing_is_deployed_before_the_first_model_is_known(
    rollouts: RolloutController,
) -> None:
    rollouts.pool.release = Release(path=Path("wine.joblib"))
    with pytest.raises(ReleaseRefusedError, match="has not read its own model yet"):
        await rollouts.deploy(Path("/x"))
    assert not rollouts.busy


async def test_code_is_rolled_out_without_a_path_and_an_artefact_is_refused(
    rollouts: RolloutController,
) -> None:
    with pytest.raises(ReleaseRefusedError, match="name the artefact folder or model file"):
        await rollouts.deploy(None)
    rollouts.own_program = True
    rollouts.pool.release = Release(path=Path("/shop"), name="shop.main:app")
    with pytest.raises(
        ReleaseRefusedError, match=r"the replicas run shop\.main:app, which serves no"
    ):
        await rollouts.deploy(Path("/x"))
    app = web.Application()
    rollouts.add_routes(app)
    async with TestClient(TestServer(app)) as client:
        taken = await client.put("/model", json={})
        release = Release.model_validate(await taken.json())
    assert taken.status == 202
    await eventually_async(lambda: not rollouts.busy)
    assert rollouts.pool.release == release
    assert release.label == f"shop.main:app (code of {release.loaded_at})"
    again = await rollouts.deploy(None)
    await eventually_async(lambda: not rollouts.busy)
    assert again != release, "it is another release, also within the same second"


@pytest.mark.parametrize(
    ("code", "seconds", "why"),
    [
        ("import sys; sys.exit('it is no model')", 60.0, "it is no model"),
        ("import sys; sys.exit(3)", 60.0, "exit 3"),
        ("print('nothing')", 60.0, "its check printed no valid result"),
        ("import time; time.sleep(60)", 0.2, "could not be loaded within"),
    ],
)
async def test_a_failed_admission_refuses_the_release(
    code: str, seconds: float, why: str, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "ADMISSION", (sys.executable, "-c", code))
    monkeypatch.setattr(release, "ADMISSION_SECONDS", seconds)
    with pytest.raises(ReleaseRefusedError, match=why):
        await admit(Path("/x"), tmp_path / "kept", OLD.path, ENV, tmp_path)


async def test_the_control_client_maps_the_responses_of_put_model(tmp_path: Path) -> None:
    answers = iter(
        [
            web.json_response({"error": "no"}, status=409),
            web.json_response({"error": "odd"}, status=400),
            web.Response(text=NEW.model_dump_json(), status=202),
        ]
    )

    async def put(request: web.Request) -> web.Response:
        assert (await request.json()) == {"path": "/x"}
        return next(answers)

    app = web.Application()
    app.router.add_put("/model", put)
    socket = Layout(tmp_path).socket
    socket.parent.mkdir()
    async with serve_unix(app, socket):
        with pytest.raises(ReleaseRefusedError, match="no"):
            await asyncio.to_thread(request_deploy, socket, Path("/x"))
        with pytest.raises(ControlError, match="answers 400"):
            await asyncio.to_thread(request_deploy, socket, Path("/x"))
        assert await asyncio.to_thread(request_deploy, socket, Path("/x")) == NEW


async def test_copies_that_no_release_uses_are_removed_before_a_rollout(
    rollouts: RolloutController, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []
    prune = release.prune_copies

    def pruned(*arguments: Any) -> None:
        states.append(rollouts.rollout.state if rollouts.rollout else "")
        prune(*arguments)

    monkeypatch.setattr("tidegate.stack.rollout.rollout_controller.prune_copies", pruned)

    def copied(number: int) -> Release:
        folder = rollouts.copies / f"toy-{number:016x}"
        folder.mkdir(parents=True)
        write_manifest(
            folder,
            name="toy",
            version=str(number),
            features=[{"name": "x"}],
            inputs="",
            task="values",
            outputs=[{"name": "y", "datatype": "FP32", "shape": [-1]}],
        )
        os.utime(folder, (number, number))
        return Release(path=folder, version=str(number), digest=f"{number:016x}")

    async def deploy(release: Release) -> set[str]:
        monkeypatch.setattr("tidegate.stack.rollout.rollout_controller.admit", admission(release))
        await rollouts.deploy(release.path)
        await eventually_async(lambda: not rollouts.busy)
        return {path.name for path in rollouts.copies.iterdir()}

    rollouts.pool.release = copied(1)
    for number in range(2, 7):
        left = await deploy(copied(number))
    # Of the start, the newest other one, the one before, and what is served.
    assert left == {f"toy-{number:016x}" for number in (1, 4, 5, 6)}
    # A client that sees the end of a rollout may begin the next one.
    assert states == ["", *["done"] * 4]
