"""Which container this runs in, and which project that is in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.own_project import (
    Home,
    NoProjectError,
    container_candidates,
    find_home,
)

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4


class Found:
    """An engine that knows one container."""

    def __init__(self, container: Any = None, status: int = 404) -> None:
        self.container = container
        self.status = status

    async def inspect(self, name: str) -> Any:
        if self.container is None or name not in self.container["Id"]:
            raise EngineError(self.status, "no such container")
        return self.container


async def home(engine: Any, project: str = "") -> Home:
    return await find_home(engine, [OTHER, ID], project)


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
def test_where_the_own_id_is_found(
    tmp_path: Path, files: dict[str, str], hostname: str, expected: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert container_candidates(tmp_path, hostname) == expected


async def test_the_project_is_that_of_the_own_container(replica: Callable[..., Any]) -> None:
    labels = {"com.docker.compose.project.working_dir": "/srv/shop"}
    engine = Found(replica(1, id=ID, labels=labels))
    assert await home(engine) == Home("shop", "/srv/shop", frozenset({"front"}))
    assert await home(engine, "shop") == await home(engine)


async def test_a_given_project_that_is_not_the_own_is_refused(replica: Callable[..., Any]) -> None:
    with pytest.raises(
        NoProjectError, match=r"two projects: .* belongs to shop, --project says bar"
    ):
        await home(Found(replica(1, id=ID)), "bar")


async def test_outside_of_any_container_the_project_must_be_given() -> None:
    assert await home(Found(), "shop") == Home("shop", "", None)
    with pytest.raises(NoProjectError, match="run it as a service of the project, or give --proj"):
        await home(Found())


async def test_a_container_without_a_project_is_named(replica: Callable[..., Any]) -> None:
    own = replica(1, id=ID, name="alone", labels={"com.docker.compose.project": ""})
    with pytest.raises(NoProjectError, match="container alone is not in a Compose project"):
        await home(Found(own), "shop")


async def test_an_engine_that_fails_is_not_taken_for_absence() -> None:
    with pytest.raises(EngineError):
        await home(Found(status=500))
