"""Finding the own container and its project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.own_project import (
    NoProjectError,
    OwnProject,
    container_candidates,
    find_own_project,
)

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


class OneContainerEngine:
    """An engine that knows one container."""

    def __init__(self, container: Any = None, status: int = 404) -> None:
        self.container = container
        self.status = status

    async def inspect(self, name: str) -> Any:
        if self.container is None or name not in self.container["Id"]:
            raise EngineError(self.status, "no such container")
        return self.container


async def resolve(engine: Any, project: str = "") -> OwnProject:
    return await find_own_project(engine, [OTHER, ID], project)


def test_sources_of_the_own_container_id(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("1 2 8:1 / / rw\n")
    assert [*container_candidates("tea", mounts)] == []
    mounts.write_text(f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw\n" * 2)
    assert [*container_candidates(OTHER[:12], mounts)] == [ID, OTHER[:12]]


async def test_the_project_is_taken_from_the_own_container(replica: Callable[..., Any]) -> None:
    engine = OneContainerEngine(replica(1, id=ID))
    assert await resolve(engine) == OwnProject("shop", frozenset({"front"}))
    assert await resolve(engine, "shop") == await resolve(engine)


async def test_another_project_than_its_own_is_refused(replica: Callable[..., Any]) -> None:
    said = r"two projects: .* belongs to shop, but --project is bar"
    with pytest.raises(NoProjectError, match=said):
        await resolve(OneContainerEngine(replica(1, id=ID)), "bar")


async def test_outside_of_a_container_the_project_must_be_set() -> None:
    assert await resolve(OneContainerEngine(), "shop") == OwnProject("shop", None)
    with pytest.raises(NoProjectError, match="run it as a service of the project, or set --proj"):
        await resolve(OneContainerEngine())


async def test_a_container_without_a_project_is_named(replica: Callable[..., Any]) -> None:
    own = replica(1, id=ID, name="alone", labels={"com.docker.compose.project": ""})
    with pytest.raises(NoProjectError, match="container alone is not in a Compose project"):
        await resolve(OneContainerEngine(own), "shop")


async def test_an_engine_error_does_not_mean_that_there_is_no_container() -> None:
    with pytest.raises(EngineError):
        await resolve(OneContainerEngine(status=500))
