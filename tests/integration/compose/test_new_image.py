"""In Compose a new image is rolled out without an outage (docs/how-to/retrain.md)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.eventually import eventually
from support.processes.compose_project import Project, ResizerProcess, docker

pytestmark = pytest.mark.integration

NEW = {"REPLICA_KEY": "new"}


def ready(project: Project) -> set[str]:
    """The running and healthy replicas."""
    return {
        name
        for name, one in project.containers().items()
        if one["State"]["Status"] == "running" and one["State"]["Health"]["Status"] == "healthy"
    }


def new(project: Project) -> set[str]:
    """The replicas of the new definition."""
    return {
        name
        for name, one in project.containers().items()
        if "REPLICA_KEY=new" in one["Config"]["Env"]
    }


@contextmanager
def watched(project: Project) -> Iterator[list[int]]:
    """Samples of the number of ready replicas while the block runs."""
    samples: list[int] = []
    stop = threading.Event()

    def sample() -> None:
        while not stop.is_set():
            samples.append(len(ready(project)))
            time.sleep(0.05)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def test_a_replica_of_the_new_image_replaces_the_old_ones_without_an_outage(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(2)
    eventually(lambda: len(ready(project)) == 2)
    with watched(project) as samples:
        project.run(
            *("up", "--detach", "--no-deps", "--no-recreate", "--scale", "model=3", "model"),
            env=NEW,
        )
        # The resizer replaces the copy of the old definition, but not the container that Compose created.
        eventually(lambda: resizer.has(2) and len(ready(project) & new(project)) == 1)
        docker("stop", "--time", "30", project.replica(1))
        docker("rm", project.replica(1))
        eventually(lambda: resizer.has(2) and ready(project) == new(project))
    assert samples
    assert min(samples) >= 1
