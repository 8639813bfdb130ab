"""The contract of a resizer: the present replicas and the desired number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from tidegate.settings import Replicas

FIXED_SLOTS_MESSAGE: Final = "the slots of a replica cannot be set: see slots.max"

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
    """The response of `GET /replicas`; `running` counts what is ready, starts, or waits for its turn.

    `slots` is the requested number in each replica; None if slots cannot be set. `lends` says what a higher
    number changes: the slots, or the CPU for the existing slots. `startups` are measured: seconds from the
    request for a replica to its readiness, of the latest ones, oldest first; empty if none is known.
    """

    model_config = ConfigDict(frozen=True)

    desired: int
    running: int
    ready: int
    replicas: list[Replica]
    slots: int | None = None
    lends: Lends = "slots"
    startups: list[float] = []

    @classmethod
    def of(
        cls,
        desired: int,
        replicas: list[Replica],
        slots: int | None = None,
        lends: Lends = "slots",
        startups: Sequence[float] = (),
        *,
        waiting: int = 0,
    ) -> ReplicaStatus:
        """The status with the numbers of these replicas, and of `waiting` ones that are to be started."""
        ready = sum(one.state == "ready" for one in replicas)
        return cls(
            desired=desired,
            running=ready + sum(one.state == "starting" for one in replicas) + waiting,
            ready=ready,
            replicas=replicas,
            slots=slots,
            lends=lends,
            startups=list(startups),
        )


class ResizeRefusedError(ValueError):
    """A number is out of bounds, or slots cannot be set. The text says which and why."""


class ResizerUnavailableError(RuntimeError):
    """The resizer cannot be reached, or does not know the state of its replicas. Try again later."""


class ResizeLimitedError(ResizerUnavailableError):
    """Replicas were removed too often. The text states the limit.

    Attributes:
        retry_after_seconds: when to try again.
    """

    def __init__(self, text: str, retry_after_seconds: float) -> None:
        super().__init__(text)
        self.retry_after_seconds = retry_after_seconds


class Resizer(Protocol):
    """The interface behind the HTTP API (`GET` and `PUT /replicas`)."""

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        ...

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Request a number of replicas, and of slots in each; without a number of slots they stay.

        It returns before the change is complete.

        Raises:
            ResizeRefusedError: a number is out of bounds, or slots cannot be set; nothing is changed.
            ResizeLimitedError: replicas were removed too often; nothing is changed.
        """
        ...


def check_bounds(
    desired: int, replicas: Replicas, slots: int | None, max_slots: int | None
) -> None:
    """Check a request against the bounds in the settings; without a maximum slots cannot be set.

    Raises:
        ResizeRefusedError: a number is out of bounds. The text says which.
    """
    if not replicas.min <= desired <= replicas.max:
        raise ResizeRefusedError(
            f"{desired} replicas are outside [{replicas.min}, {replicas.max}]: "
            "see replicas.min and replicas.max"
        )
    if slots is None:
        return
    if max_slots is None:
        raise ResizeRefusedError(FIXED_SLOTS_MESSAGE)
    if not 1 <= slots <= max_slots:
        raise ResizeRefusedError(f"{slots} slots are outside [1, {max_slots}]: see slots.max")
