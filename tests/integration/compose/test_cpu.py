"""On a real engine: the CPU quota follows the slots asked for, in every replica and in new ones."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest

from integration.compose.project import (
    Project,
    ResizerProcess,
    docker,
    running_resizer,
    until,
)

pytestmark = pytest.mark.integration
# The replicas have 2 slots of their own; the engine drops a quota's last four digits.
LIMITED = "    cpus: 0.25\n"
OWN, LENT = 250_000_000, 500_000_004
MAY_LEND = {"TIDEGATE_SLOTS__PER_REPLICA": "2", "TIDEGATE_SLOTS__MAX": "4"}


def quotas(project: Project) -> list[int]:
    return [one["HostConfig"]["NanoCpus"] for one in project.containers().values()]


def in_cgroup(name: str) -> float:
    """The share of a CPU that the kernel gives a container, as it says itself inside."""
    v1 = "/sys/fs/cgroup/cpu/cpu.cfs_{}_us"
    files = [v1.format("quota"), v1.format("period")]
    said = docker("exec", name, "/usr/bin/cat", *files, check=False).split()
    said = said or docker("exec", name, "/usr/bin/cat", "/sys/fs/cgroup/cpu.max").split()
    return int(said[0]) / int(said[1])


def test_the_cpu_of_every_replica_follows_the_slots_and_goes_to_new_ones(
    project: Project, tmp_path: Path
) -> None:
    project.write(LIMITED)
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path, **MAY_LEND) as resizer:
        until(lambda: resizer.has(1))
        resizer.scale(2)
        before = project.ids()
        assert quotas(project) == [OWN] * 2

        assert resizer.call(3, 4)["slots"] == 4
        until(lambda: resizer.has(3) and quotas(project) == [LENT] * 3)
        assert {in_cgroup(project.replica(number)) for number in (1, 2, 3)} == {0.5}
        assert before.items() <= project.ids().items()

        # None is replaced for it, neither by us nor by Compose.
        three = project.ids()
        project.run("up", "--detach", "--scale", "model=3")
        assert project.ids() == three
        assert not resizer.told("drain")

        resizer.call(3, 2)
        until(lambda: quotas(project) == [OWN] * 3)
        assert in_cgroup(project.replica(3)) == 0.25
        assert project.ids() == three


def test_what_is_lent_outlives_the_resizer_that_lent_it(project: Project, tmp_path: Path) -> None:
    project.write(LIMITED)
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path, **MAY_LEND) as resizer:
        until(lambda: resizer.has(1))
        resizer.call(1, 4)
        until(lambda: quotas(project) == [LENT])
    with running_resizer(project.name, tmp_path, **MAY_LEND) as resizer:
        until(lambda: resizer.has(1))
        assert resizer.call()["slots"] == 4
        # A new definition's quota is lent of likewise.
        project.write("    cpus: 0.5\n")
        project.run("up", "--detach")
        until(lambda: quotas(project) == [1_000_000_004] and resizer.has(1))
        resizer.call(1, 2)
        until(lambda: quotas(project) == [500_000_000])


def test_a_service_without_a_limit_is_refused_with_the_reason(
    project: Project, tmp_path: Path
) -> None:
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path, **MAY_LEND) as resizer:
        until(lambda: resizer.has(1))
        assert resizer.call()["slots"] is None
        assert "has no CPU limit that could be raised" in refusal(resizer, 4)
    with running_resizer(project.name, tmp_path) as resizer:
        assert "cannot be set: see slots.max" in refusal(resizer, 4)


def refusal(resizer: ResizerProcess, slots: int) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        resizer.call(1, slots)
    assert caught.value.code == 409
    return str(json.load(caught.value)["error"])
