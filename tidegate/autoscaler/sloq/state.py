"""The state of SLOQ between ticks, of JSON types, so that a decision replays from its event."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
TimedValue = tuple[float, float]
"""A time in seconds, and the value at that time."""
Tick = tuple[float, float, float, float | None]
"""A time in seconds, the arrival rate over 15 s, the rate expected from then on, and the requests queued."""


class SloqState(BaseModel):
    """The state of SLOQ. Times are on the clock of the ticks. Sizes are in slots, not in replicas."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    now: float | None = None
    """Time of the last tick."""
    unsure_at: float | None = None
    """When the rates were last unusable, or 0 for a minute with requests in the system."""
    unknown_at: float | None = None
    """When no replica was last known to be running."""
    seen: tuple[float | None, ...] = ()
    """The last values that change with every request."""
    repeats: Count = 0
    """For how many ticks they have not changed."""
    still_since: float | None = None
    """Since when the same requests, at least one, have been in the system."""
    stuck_since: float | None = None
    """Since when requests have queued and none has left."""

    ready: Count = 0
    running: Count = 0
    steady_since: float | None = None
    """Since when all running replicas are ready and their number has not changed."""
    starting: tuple[float, ...] = ()
    """Start times of the replicas that are not ready yet, oldest first."""
    startups: tuple[float, ...] = ()
    """The last observed start-up times, in seconds."""

    service_seconds: Positive | None = None
    """The mean time in a slot of the last minute, smoothed if of few requests."""
    service_seconds_p95: Positive | None = None
    """The 95th percentile of that time until the byte of the objective; likewise."""
    occupancy: Positive = 1.0
    """How many times as long as that mean a request occupies a slot, measured while requests queued."""
    slowness: Annotated[float, Field(ge=1)] = 1.0
    """How many times longer than both say a request kept a slot while others queued; forgotten in minutes."""
    strain: Annotated[float, Field(ge=1)] = 1.0
    """How many times longer requests wait than the queueing model predicts."""
    full: tuple[float, float, float] | None = None
    """When requests queued, the ready replicas then, and how many requests a second they completed."""

    ticks: tuple[Tick, ...] = ()
    """The last ticks with usable signals, until what was expected can be compared with what came."""
    reserve: Annotated[float, Field(ge=0)] = 0.0
    """The burst reserve, in requests a second."""

    targets: tuple[TimedValue, ...] = ()
    """The slots needed at the last ticks; only those that no later one exceeds."""
    kept_at: tuple[float, ...] = ()
    """When the present number counted as such a target: at the start, and without usable signals."""
    surges: tuple[TimedValue, ...] = ()
    """The slots needed with the backlog; likewise."""
    peak: Annotated[float, Field(ge=0)] = 0.0
    """The most slots needed while the objective could be met, forgotten within hours."""

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> SloqState:
        """The state in a recorded one; an empty state if it cannot be read."""
        try:
            return cls.model_validate(state)
        except ValidationError:
            return cls()

    def elapsed(self, now: float) -> float:
        """Seconds since the last tick; 0 at the first."""
        return 0.0 if self.now is None else max(0.0, now - self.now)

    def to_json(self) -> dict[str, Any]:
        """The state as JSON types."""
        return self.model_dump(mode="json", exclude_defaults=True)
