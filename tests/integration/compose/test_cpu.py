"""On a real engine, the CPU quota follows the requested slots in existing and new replicas."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.eventually import eventually
from support.processes.compose_project import Project, docker, running_resizer

pytestmark = pytest.mark.integration
# A replica has 2 slots without lent CPU; the engine ignores the last four digits of a quota.
LIMITED = "    cpus: 0.25\n"
BASE, LENT = 250_000_000, 500_000_004
LENDING = {"TIDEGATE_SLOTS__PER_REPLICA": "2", "TIDEGATE_SLOTS__MAX": "4"}


def quotas(project: Project) -> list[int]:
    return [one["HostConfig"]["NanoCpus"] for one in project.containers().values()]


def in_cgroup(name: str) -> float:
    """The CPU quota of a container, in CPUs, read from its cgroup."""
    v1 = "/sys/fs/cgroup/cpu/cpu.cfs_{}_us"
    files = [v1.format("quota"), v1.format("period")]
    values = docker("exec", name, "/usr/bin/cat", *files, check=False).split()
    values = values or docker("exec", name, "/usr/bin/cat", "/sys/fs/cgroup/cpu.max").split()
    return int(values[0]) / int(values[1])


def test_the_quota_of_every_replica_follows_the_slots(project: Project, tmp_path: Path) -> None:
    project.write(LIMITED)
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path, **LENDING) as resizer:
        eventually(lambda: resizer.has(1))
        resizer.scale(2)
        before = project.ids()
        assert quotas(project) == [BASE] * 2

        assert resizer.call(3, 4)["slots"] == 4
        eventually(lambda: resizer.has(3) and quotas(project) == [LENT] * 3)
        assert {in_cgroup(project.replica(number)) for number in (1, 2, 3)} == {0.5}
        assert before.items() <= project.ids().items()

        # Neither the resizer nor Compose replaces a replica because of it.
        three = project.ids()
        project.run("up", "--detach", "--scale", "model=3")
        assert project.ids() == three
        assert not resizer.events("drain")

        resizer.call(3, 2)
        eventually(lambda: quotas(project) == [BASE] * 3)
        assert in_cgroup(project.replica(3)) == 0.25
        assert project.ids() == three


def test_a_lent_quota_survives_a_restart_of_the_resizer(project: Project, tmp_path: Path) -> None:
    project.write(LIMITED)
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path, **LENDING) as resizer:
        eventually(lambda: resizer.has(1))
        resizer.call(1, 4)
        eventually(lambda: quotas(project) == [LENT])
    with running_resizer(project.name, tmp_path, **LENDING) as resizer:
        eventually(lambda: resizer.has(1))
        assert resizer.call()["slots"] == 4
        # The quota of a new definition is raised in the same proportion.
        project.write("    cpus: 0.5\n")
        project.run("up", "--detach")
        eventually(lambda: quotas(project) == [1_000_000_004] and resizer.has(1))
        resizer.call(1, 2)
        eventually(lambda: quotas(project) == [500_000_000])
