"""Scaling of a real Compose project on a real engine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from support.eventually import eventually
from support.processes.compose_project import (
    Project,
    ResizerProcess,
    compose_project,
    docker,
    running_resizer,
)
from tidegate.resizer.compose.containers import Container, parse_container

pytestmark = pytest.mark.integration


def keys(project: Project) -> set[str]:
    """What the replicas have in a variable."""
    variables = [name for one in project.containers().values() for name in one["Config"]["Env"]]
    return {name for name in variables if name.startswith("REPLICA_KEY")}


def test_scale_out_to_five_and_in_to_two_drains_the_replicas_with_the_lowest_load(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(5)
    assert sorted(project.ids()) == [project.replica(number) for number in range(1, 6)]
    for number, busy in enumerate(("1.0", "3.0", "0.0", "2.0", "0.0"), start=1):
        project.put(number, f"/busy/{busy}")

    resizer.scale(2)

    assert sorted(project.ids()) == [project.replica(2), project.replica(4)]
    eventually(
        lambda: sorted(project.containers()) == sorted(project.ids())
    )  # the others have been removed
    assert [one["message"].split()[0] for one in resizer.events("gone")]


def test_the_engine_says_when_a_replica_was_healthy_for_the_first_time(project: Project) -> None:
    project.run("up", "--detach")

    def first() -> Container | None:
        (one,) = map(parse_container, project.containers().values())
        return one if one.healthy_at else None

    one = eventually(first)
    assert one.health == "healthy"
    assert one.started_at < (one.healthy_at or 0.0) < time.time()


def test_a_copy_differs_from_its_template_only_in_its_identity(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(2)
    first, second = (project.containers()[project.replica(number)] for number in (1, 2))
    labels = second["Config"]["Labels"]
    assert labels.pop("tidegate.resizer.clone-of") == first["Id"]
    assert labels.pop("com.docker.compose.container-number") == "2"
    del first["Config"]["Labels"]["com.docker.compose.container-number"]
    assert second["Config"].pop("Hostname") == second["Id"][:12]
    del first["Config"]["Hostname"]
    assert (second["Config"], second["HostConfig"], second["Image"]) == (
        first["Config"],
        first["HostConfig"],
        first["Image"],
    )
    networks = second["NetworkSettings"]["Networks"]
    assert sorted(networks) == [f"{project.name}_front", f"{project.name}_telemetry"]
    for network in networks.values():
        # Engines before 25 add the short id.
        assert {*network["Aliases"]} - {second["Id"][:12]} == {"model", project.replica(2)}
    volumes = [
        {one["Destination"]: one["Name"] for one in each["Mounts"] if "Name" in one}
        for each in (first, second)
    ]
    assert volumes[0]["/shared"] == volumes[1]["/shared"]
    assert volumes[0]["/anonymous"] != volumes[1]["/anonymous"]


@pytest.mark.parametrize("version", ["5", "2"])
def test_compose_keeps_copies_and_the_resizer_restores_the_number_after_up(
    image: str, tmp_path: Path, version: str
) -> None:
    with compose_project(tmp_path / "project", image, version) as project:
        # Only Compose knows the variables of the shell that it was called in.
        shell = {"REPLICA_KEY": "of the shell"}
        project.run("up", "--detach", env=shell)
        neighbour = project.containers("neighbour")
        with running_resizer(project.name, tmp_path) as resizer:
            resizer.scale(3)
            before = project.ids()
            assert keys(project) == {"REPLICA_KEY=of the shell"}

            project.run("up", "--detach", "--scale", "model=3", env=shell)
            assert project.ids() == before

            project.run("up", "--detach", env=shell)  # resets the number to 1
            eventually(lambda: resizer.has(3))
            assert before[project.replica(1)] == project.ids()[project.replica(1)]
        assert {name: one["Id"] for name, one in project.containers("neighbour").items()} == {
            name: one["Id"] for name, one in neighbour.items()
        }


def test_killed_replicas_are_restarted_and_removed_replicas_are_recreated(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(3)
    before = project.ids()
    docker("kill", project.replica(2))
    eventually(lambda: not resizer.has(3))
    eventually(lambda: resizer.has(3))
    assert project.ids() == before

    docker("rm", "--force", project.replica(1), project.replica(3))
    eventually(lambda: not resizer.has(3))
    eventually(lambda: resizer.has(3))
    unchanged = before.items() & project.ids().items()
    assert unchanged == {(project.replica(2), before[project.replica(2)])}


def test_a_manually_stopped_service_stays_stopped_until_it_is_started(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(3)
    project.run("stop", "model")
    eventually(lambda: resizer.events("held"))
    resizer.call(4)
    assert resizer.call()["desired"] == 4
    assert project.ids() == {}

    project.run("start", "model")
    eventually(lambda: resizer.has(4))
    assert len(resizer.events("held")) == 2  # the second event reports the end


def test_copies_follow_a_definition_that_compose_changed(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(3)
    project.run("up", "--detach", env={"REPLICA_KEY": "new", "REPLICA_DRAIN": "1.5"})
    eventually(lambda: resizer.has(3) and keys(project) == {"REPLICA_KEY=new"})


def test_replicas_of_another_project_are_unchanged(
    project: Project, resizer: ResizerProcess, image: str, tmp_path: Path
) -> None:
    with compose_project(tmp_path / "other", image) as other:
        other.run("up", "--detach", "--scale", "model=2")
        theirs = {**other.containers(), **other.containers("neighbour")}
        resizer.scale(3)
        resizer.scale(1)
        after = {**other.containers(), **other.containers("neighbour")}
        assert {name: (one["Id"], one["State"]["StartedAt"]) for name, one in after.items()} == {
            name: (one["Id"], one["State"]["StartedAt"]) for name, one in theirs.items()
        }
