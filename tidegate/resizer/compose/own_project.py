"""Finds the container that this process runs in, and with it the Compose project."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.resizer.compose.containers import (
    WORKING_DIR_LABEL,
    labels_of,
    networks_of,
    project_of,
)
from tidegate.resizer.compose.engine import Engine, EngineError, Json

# Docker mounts /etc/hosts and similar files from <data root>/containers/<id>/; with cgroup v1 the id is
# the name of the cgroup too.
_IDS: Final = {
    "mountinfo": re.compile(r"/containers/([0-9a-f]{64})/"),
    "cgroup": re.compile(r"/docker[/-]([0-9a-f]{64})"),
}


class NoProjectError(RuntimeError):
    """The project cannot be determined. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class OwnProject:
    """The Compose project of the resizer.

    Attributes:
        name: its name.
        working_dir: the folder that Compose ran in; empty if unknown.
        networks: ids of the networks that the resizer is in; None if it runs on the host.
    """

    name: str
    working_dir: str
    networks: frozenset[str] | None


def container_candidates(proc: Path = Path("/proc/self"), hostname: str | None = None) -> list[str]:
    """Ids that the container of this process may have, the most certain first."""
    found = []
    for name, pattern in _IDS.items():
        with suppress(OSError):
            found += pattern.findall((proc / name).read_text(encoding="utf-8"))
    named = socket.gethostname() if hostname is None else hostname
    if re.fullmatch(r"[0-9a-f]{12}", named):
        found.append(named)
    return list(dict.fromkeys(found))


async def find_own_project(
    engine: Engine, candidates: Collection[str], project: str = ""
) -> OwnProject:
    """The project that this process belongs to.

    Args:
        engine: the engine that runs its container.
        candidates: ids that its container may have.
        project: the name of the project, if the process runs outside of it.

    Raises:
        NoProjectError: it runs in no project and none is given, or it runs in another project.
    """
    own = await _first(engine, candidates)
    found = project_of(own) if own else ""
    if own is None and project:
        return OwnProject(project, "", None)
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
    return OwnProject(found, labels_of(own).get(WORKING_DIR_LABEL, ""), networks)


async def _first(engine: Engine, candidates: Collection[str]) -> Json | None:
    for candidate in candidates:
        try:
            return await engine.inspect(candidate)
        except EngineError as error:
            if error.status != 404:
                raise
    return None
