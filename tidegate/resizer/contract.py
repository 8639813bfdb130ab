"""The contract of a resizer: how many replicas there are, and how many there should be."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from tidegate.settings import Replicas

SLOTS_ARE_FIXED: Final = "the slots of a replica cannot be set: see slots.max"

ReplicaState = Literal["starting", "ready", "draining", "failed"]
Lends = Literal["slots", "cpu"]


class Replica(BaseModel):
    """One replica. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: ReplicaState
    started_at: float
    ready_at: float | None = None


class ReplicaStatus(BaseModel):
    """The answer of `GET /replicas`; `running` counts ready and starting ones.

    `slots` are those that were asked for in each replica; None where they cannot be set. `lends` is what a
    replica with more of them has more of: slots, or CPU for those that it has.
    """

    model_config = ConfigDict(frozen=True)

    desired: int
    running: int
    ready: int
    replicas: list[Replica]
    slots: int | None = None
    lends: Lends = "slots"


class ResizeRefusedError(ValueError):
    """A number is outside its bounds, or slots cannot be set. Its text says which and why."""


class ResizerUnavailableError(RuntimeError):
    """The resizer cannot be reached, or cannot say how it stands. Trying again later is right."""


class ResizeLimitedError(ResizerUnavailableError):
    """Replicas were removed too often. Its text says how often they may be.

    Attributes:
        retry_after_seconds: when to try again.
    """

    def __init__(self, text: str, retry_after_seconds: float) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


class Resizer(Protocol):
    """What the HTTP face (`GET` and `PUT /replicas`) is a face of."""

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        ...

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Ask for a number of replicas, and of slots in each; returns at once, the change follows.

        Args:
            desired: replicas.
            slots: of each one; None leaves them as they are.

        Raises:
            ResizeRefusedError: a number is outside its bounds, or slots cannot be set; nothing is changed.
            ResizeLimitedError: replicas were removed too often; nothing is changed.
        """
        ...


def refuse_outside(desired: int, replicas: Replicas, slots: int | None, most: int | None) -> None:
    """Refuse what is outside the bounds of the settings.

    Args:
        desired: replicas that are asked for.
        replicas: their bounds.
        slots: of each that are asked for, if any.
        most: as many as there may be; None if they cannot be set.

    Raises:
        ResizeRefusedError: its text says what is outside of what.
    """
    if not replicas.min <= desired <= replicas.max:
        raise ResizeRefusedError(
            f"{desired} replicas are outside [{replicas.min}, {replicas.max}]: "
            "see replicas.min and replicas.max"
        )
    if slots is None:
        return
    if most is None:
        raise ResizeRefusedError(SLOTS_ARE_FIXED)
    if not 1 <= slots <= most:
        raise ResizeRefusedError(f"{slots} slots are outside [1, {most}]: see slots.max")
