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


@pytest.mark.parametrize(
    ("files", "hostname", "expected"),
    [
        ({}, "tea", []),
        ({}, ID[:12], [ID[:12]]),
        (
            {
                "mountinfo": f"1 2 8:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw\n"
                f"1 2 8:1 /var/lib/docker/containers/{ID}/hosts /etc/hosts rw\n"
            },
            "tea",
            [ID],
        ),
        ({"cgroup": f"1:name=systemd:/docker/{ID}\n0::/docker/{ID}\n"}, "tea", [ID]),
        ({"cgroup": f"0::/system.slice/docker-{ID}.scope\n", "mountinfo": "\n"}, "tea", [ID]),
        ({"cgroup": "0::/\n"}, OTHER[:12], [OTHER[:12]]),
    ],
)
def test_sources_of_the_own_container_id(
    tmp_path: Path, files: dict[str, str], hostname: str, expected: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert container_candidates(tmp_path, hostname) == expected


async def test_the_project_is_taken_from_the_own_container(replica: Callable[..., Any]) -> None:
    labels = {"com.docker.compose.project.working_dir": "/srv/shop"}
    engine = OneContainerEngine(replica(1, id=ID, labels=labels))
    assert await resolve(engine) == OwnProject("shop", "/srv/shop", frozenset({"front"}))
    assert await resolve(engine, "shop") == await resolve(engine)


async def test_another_project_than_its_own_is_refused(replica: Callable[..., Any]) -> None:
    said = r"two projects: .* belongs to shop, but --project is bar"
    with pytest.raises(NoProjectError, match=said):
        await resolve(OneContainerEngine(replica(1, id=ID)), "bar")


async def test_outside_of_a_container_the_project_must_be_set() -> None:
    assert await resolve(OneContainerEngine(), "shop") == OwnProject("shop", "", None)
    with pytest.raises(NoProjectError, match="run it as a service of the project, or set --proj"):
        await resolve(OneContainerEngine())


async def test_a_container_without_a_project_is_named(replica: Callable[..., Any]) -> None:
    own = replica(1, id=ID, name="alone", labels={"com.docker.compose.project": ""})
    with pytest.raises(NoProjectError, match="container alone is not in a Compose project"):
        await resolve(OneContainerEngine(own), "shop")


async def test_an_engine_error_does_not_mean_that_there_is_no_container() -> None:
    with pytest.raises(EngineError):
        await resolve(OneContainerEngine(status=500))
