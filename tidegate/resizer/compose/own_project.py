"""Which container this process runs in, and so which project it belongs to."""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.resizer.compose.containers import FOLDER_LABEL, labels_of, networks_of, project_of
from tidegate.resizer.compose.engine import Engine, EngineError, Json

# Docker mounts /etc/hosts and the like from <its folder>/containers/<id>/; with cgroup v1 the id is the
# name of the cgroup too.
_IDS: Final = {
    "mountinfo": re.compile(r"/containers/([0-9a-f]{64})/"),
    "cgroup": re.compile(r"/docker[/-]([0-9a-f]{64})"),
}


class NoProjectError(RuntimeError):
    """It is not clear which project's replicas to set. Its text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the resizer belongs.

    Attributes:
        project: its Compose project.
        folder: the folder that Compose ran in; empty if unknown.
        networks: ids of the networks it is in; None if it runs on the host.
    """

    project: str
    folder: str
    networks: frozenset[str] | None


def container_candidates(proc: Path = Path("/proc/self"), hostname: str | None = None) -> list[str]:
    """Ids that this process' own container may have, the surest first."""
    found = []
    for name, pattern in _IDS.items():
        with suppress(OSError):
            found += pattern.findall((proc / name).read_text(encoding="utf-8"))
    named = socket.gethostname() if hostname is None else hostname
    if re.fullmatch(r"[0-9a-f]{12}", named):
        found.append(named)
    return list(dict.fromkeys(found))


async def find_home(engine: Engine, candidates: Collection[str], project: str = "") -> Home:
    """Where this process belongs.

    Args:
        engine: the engine that runs its container.
        candidates: ids that its container may have.
        project: the project, where it runs in none.

    Raises:
        NoProjectError: it runs in no project and none is given, or in another than is given.
    """
    own = await _first(engine, candidates)
    found = project_of(own) if own else ""
    if own is None and project:
        return Home(project, "", None)
    if own is None:
        raise NoProjectError(
            "this does not run in a container of this Docker engine, so its Compose project is not "
            "known: run it as a service of the project, or give --project"
        )
    if not found:
        raise NoProjectError(
            f"its own container {own['Name'].removeprefix('/')} is not in a Compose project: run it as "
            "a service of the project whose replicas it shall set"
        )
    if project and project != found:
        raise NoProjectError(
            f"two projects: its own container belongs to {found}, --project says {project}; it sets "
            "the replicas of its own project only"
        )
    networks = frozenset(network["NetworkID"] for network in networks_of(own).values())
    return Home(found, labels_of(own).get(FOLDER_LABEL, ""), networks)


async def _first(engine: Engine, candidates: Collection[str]) -> Json | None:
    for candidate in candidates:
        try:
            return await engine.inspect(candidate)
        except EngineError as error:
            if error.status != 404:
                raise
    return None
