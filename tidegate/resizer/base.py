"""The contract of a resizer: how many replicas there are, and how many there should be."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

ReplicaState = Literal["starting", "ready", "draining", "failed"]


class Replica(BaseModel):
    """One replica. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: ReplicaState
    started_at: float
    ready_at: float | None = None


class ReplicaStatus(BaseModel):
    """The answer of `GET /replicas`; `running` counts ready and starting ones."""

    model_config = ConfigDict(frozen=True)

    desired: int
    running: int
    ready: int
    replicas: list[Replica]


class ResizeRefusedError(ValueError):
    """The number is outside [min, max]. Its text names the bounds."""


class Resizer(Protocol):
    """What the HTTP face (`GET` and `PUT /replicas`) is a face of."""

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        ...

    async def resize(self, desired: int) -> ReplicaStatus:
        """Ask for a number of replicas; returns at once, the change follows.

        Raises:
            ResizeRefusedError: the number is outside [min, max].
        """
        ...
