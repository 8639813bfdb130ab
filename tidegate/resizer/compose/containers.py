"""A container of the service as a resizer sees it: what `inspect` says, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tidegate.resizer.compose.engine import NUMBER_LABEL, PROJECT_LABEL, Json

HASH_LABEL: Final = "com.docker.compose.config-hash"
IMAGE_LABEL: Final = "com.docker.compose.image"
FOLDER_LABEL: Final = "com.docker.compose.project.working_dir"
CLONE_LABEL: Final = "tidegate.resizer.clone-of"
"""On the replicas that a resizer made: the id of the container that was copied."""

# What a program that was asked to end returns: 0, or 128 + SIGTERM if it does not listen.
STOPPED_CODES: Final = frozenset({0, 143})
# While Compose replaces a container, the new one bears the old one's id before its name.
_IN_REPLACEMENT = re.compile(r"[0-9a-f]{12}_")


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are seconds since 1970; 0 means never.

    Attributes:
        status: created, running, paused, restarting, removing, exited or dead.
        health: starting, healthy or unhealthy; empty without a health check.
        edition: what Compose compares to decide whether it is current: settings and image.
        cloned: whether a resizer made it.
        addresses: its address in each network, by the network's id.
        inspected: everything, as the engine says it.
    """

    id: str
    name: str
    number: int
    status: str
    health: str
    exit_code: int
    created_at: float
    started_at: float
    finished_at: float
    edition: tuple[str, str]
    cloned: bool
    addresses: Mapping[str, str]
    inspected: Json = field(repr=False, compare=False)

    @property
    def in_replacement(self) -> bool:
        """Whether Compose is about to put it in another's place."""
        return _IN_REPLACEMENT.match(self.name) is not None

    @property
    def runs(self) -> bool:
        """Whether it works, or Docker itself will see that it does."""
        return self.status in {"running", "paused", "restarting"}

    @property
    def ended_when_asked(self) -> bool:
        """Whether it ended as a stopped program ends; the restart policy revives any other."""
        return self.status == "exited" and self.exit_code in STOPPED_CODES


def read_container(inspected: Json) -> Container:
    """What `inspect` says about a replica, in our words."""
    labels, state = labels_of(inspected), inspected["State"]
    number = labels.get(NUMBER_LABEL, "")
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        number=int(number) if number.isdecimal() else 0,
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        exit_code=state.get("ExitCode", 0),
        created_at=_seconds(inspected["Created"]),
        started_at=_seconds(state.get("StartedAt", "")),
        finished_at=_seconds(state.get("FinishedAt", "")),
        edition=(labels.get(HASH_LABEL, ""), labels.get(IMAGE_LABEL, "")),
        cloned=CLONE_LABEL in labels,
        addresses={
            network["NetworkID"]: network["IPAddress"]
            for network in networks_of(inspected).values()
            if network.get("IPAddress")
        },
        inspected=inspected,
    )


def labels_of(inspected: Json) -> dict[str, str]:
    """A container's labels."""
    return inspected["Config"].get("Labels") or {}


def networks_of(inspected: Json) -> dict[str, Json]:
    """A container's networks, by name."""
    return inspected["NetworkSettings"].get("Networks") or {}


def project_of(inspected: Json) -> str:
    """The Compose project of a container; empty if it has none."""
    return labels_of(inspected).get(PROJECT_LABEL, "")


def _seconds(moment: str) -> float:
    """Docker's `0001-01-01T00:00:00Z` means never."""
    return max(0.0, datetime.fromisoformat(moment).timestamp()) if moment else 0.0
