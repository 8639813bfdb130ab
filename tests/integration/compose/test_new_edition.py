"""In Compose a new image takes over with a ready replica at every moment (docs/how-to/retrain.md)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from integration.compose.project import Project, ResizerProcess, docker, until

pytestmark = pytest.mark.integration

NEW = {"REPLICA_KEY": "new"}


def ready(project: Project) -> set[str]:
    """The replicas that run and are healthy, and are not asked to stop."""
    return {
        name
        for name, one in project.containers().items()
        if one["State"]["Status"] == "running" and one["State"]["Health"]["Status"] == "healthy"
    }


def new(project: Project) -> set[str]:
    """Those of the new definition."""
    return {
        name
        for name, one in project.containers().items()
        if "REPLICA_KEY=new" in one["Config"]["Env"]
    }


@contextmanager
def watched(project: Project) -> Iterator[list[int]]:
    """How many replicas were ready, again and again, while the block ran."""
    seen: list[int] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(len(ready(project)))
            time.sleep(0.05)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_a_new_edition_beside_the_old_one_takes_over_without_an_outage(
    project: Project, resizer: ResizerProcess
) -> None:
    resizer.scale(2)
    until(lambda: len(ready(project)) == 2)
    with watched(project) as seen:
        project.run(
            *("up", "--detach", "--no-deps", "--no-recreate", "--scale", "model=3", "model"),
            env=NEW,
        )
        # The copy of the old one gives way; the old one that Compose made is left to whoever made it.
        until(lambda: resizer.has(2) and len(ready(project) & new(project)) == 1)
        docker("stop", "--time", "30", project.replica(1))
        docker("rm", project.replica(1))
        until(lambda: resizer.has(2) and ready(project) == new(project))
    assert seen
    assert min(seen) >= 1
