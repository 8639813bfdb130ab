"""Finds the container that this process runs in, and with it the Compose project."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.resizer.compose.containers import networks_of, project_of
from tidegate.resizer.compose.engine import Engine, EngineError, Json

# Docker mounts /etc/hosts and similar files from <data root>/containers/<id>/.
_ID: Final = re.compile(r"/containers/([0-9a-f]{64})/")


class NoProjectError(RuntimeError):
    """The project cannot be determined. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class OwnProject:
    """The Compose project of the resizer, and the ids of its networks; None on the host, which is in none."""

    name: str
    networks: frozenset[str] | None


def container_candidates(
    hostname: str, mounts: Path = Path("/proc/self/mountinfo")
) -> Collection[str]:
    """Ids that the container of this process may have, the most certain first."""
    mounted = _ID.findall(mounts.read_text(encoding="utf-8"))
    return dict.fromkeys([*mounted, *re.findall("^[0-9a-f]{12}$", hostname)])


async def find_own_project(
    engine: Engine, candidates: Collection[str], project: str = ""
) -> OwnProject:
    """The project that this process belongs to; outside of any container, the one that is named.

    Raises:
        NoProjectError: it runs in no project and none is given, or it runs in another project.
    """
    own = await _first(engine, candidates)
    found = project_of(own) if own else ""
    if own is None and project:
        return OwnProject(project, None)
    if own is None:
        raise NoProjectError(
            "this process does not run in a container of this Docker engine, so its Compose project is "
            "unknown: run it as a service of the project, or set --project"
        )
    if not found:
        raise NoProjectError(
            f"the resizer's container {own['Name'].removeprefix('/')} is not in a Compose project: run it as "
            "a service of the project that it scales"
        )
    if project and project != found:
        raise NoProjectError(
            f"two projects: the resizer's container belongs to {found}, but --project is {project}; a "
            "resizer scales its own project only"
        )
    networks = frozenset(network["NetworkID"] for network in networks_of(own).values())
    return OwnProject(found, networks)


async def _first(engine: Engine, candidates: Collection[str]) -> Json | None:
    for candidate in candidates:
        try:
            return await engine.inspect(candidate)
        except EngineError as error:
            if error.status != 404:
                raise
    return None
