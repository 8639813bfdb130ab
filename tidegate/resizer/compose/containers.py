"""A container of the service, parsed from the output of `inspect`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from tidegate.resizer.compose.engine import NUMBER_LABEL, PROJECT_LABEL, Json

HASH_LABEL: Final = "com.docker.compose.config-hash"
IMAGE_LABEL: Final = "com.docker.compose.image"
CLONE_LABEL: Final = "tidegate.resizer.clone-of"
"""A label of the replicas that a resizer created: the id of the container that was copied."""

# How many results of health checks the engine keeps.
KEPT_CHECKS: Final = 5
# The exit codes of a program that was asked to stop: 0, or 128 + SIGTERM without a signal handler.
STOPPED_CODES: Final = frozenset({0, 143})
# While Compose replaces a container, the name of the new one begins with the id of the old one.
_IN_REPLACEMENT = re.compile(r"[0-9a-f]{12}_")


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are seconds since 1970; 0 means never.

    Attributes:
        status: created, running, paused, restarting, removing, exited or dead.
        health: starting, healthy or unhealthy; empty without a health check.
        healthy_at: when it was healthy for the first time since its start, as far as the engine still knows.
        definition: configuration hash and image; Compose recreates a container if they change.
        is_clone: whether a resizer created it.
        addresses: its address in each network, by the network's id.
        inspected: the output of `inspect`.
    """

    id: str
    name: str
    number: int
    status: str
    health: str
    healthy_at: float | None
    exit_code: int
    created_at: float
    started_at: float
    finished_at: float
    definition: tuple[str, str]
    is_clone: bool
    addresses: Mapping[str, str]
    inspected: Json = field(repr=False, compare=False)

    @property
    def in_replacement(self) -> bool:
        """Whether it is new and Compose is about to replace another container with it."""
        return _IN_REPLACEMENT.match(self.name) is not None

    @property
    def requested_at(self) -> float:
        """When it was asked for: a copy is created to be started, and Compose creates others well before."""
        first_copy = self.is_clone and not self.finished_at
        return self.created_at if first_copy or not self.started_at else self.started_at

    @property
    def is_active(self) -> bool:
        """Whether it runs, or is paused or restarted by Docker."""
        return self.status in {"running", "paused", "restarting"}

    @property
    def stopped_cleanly(self) -> bool:
        """Whether it exited as a stopped program does; the restart policy restarts any other."""
        return self.status == "exited" and self.exit_code in STOPPED_CODES


def parse_container(inspected: Json) -> Container:
    """Parse the output of `inspect` of a replica."""
    labels, state = labels_of(inspected), inspected["State"]
    number = labels.get(NUMBER_LABEL, "")
    return Container(
        id=inspected["Id"],
        name=inspected["Name"].removeprefix("/"),
        number=int(number) if number.isdecimal() else 0,
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        healthy_at=_healthy_at(state),
        exit_code=state.get("ExitCode", 0),
        created_at=_seconds(inspected["Created"]),
        started_at=_seconds(state.get("StartedAt", "")),
        finished_at=_seconds(state.get("FinishedAt", "")),
        definition=(labels.get(HASH_LABEL, ""), labels.get(IMAGE_LABEL, "")),
        is_clone=CLONE_LABEL in labels,
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


def _healthy_at(state: Json) -> float | None:
    """The end of the first check that succeeded, unless the engine, which keeps five, may have had others."""
    log = (state.get("Health") or {}).get("Log") or []
    started_at = _seconds(state.get("StartedAt", ""))
    checks = [(at, one["ExitCode"]) for one in log if (at := _seconds(one["End"])) >= started_at]
    if len(checks) == KEPT_CHECKS and checks[0][1] == 0:
        return None
    return next((at for at, code in checks if code == 0), None)


def _seconds(timestamp: str) -> float:
    """Docker's `0001-01-01T00:00:00Z` means never."""
    return max(0.0, datetime.fromisoformat(timestamp).timestamp()) if timestamp else 0.0
