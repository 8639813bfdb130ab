"""The state of SLOQ between ticks, of JSON types, so that a decision replays from its event."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.autoscaler.sloq.repetition import Repetition

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
TimedValue = tuple[float, float]
"""A time in seconds, and the value at that time."""


class SloqState(BaseModel):
    """The state of SLOQ. Times are on the clock of the ticks. Sizes are in slots, not in replicas.

    Slots stay valid when a replica turns out to have another number of them than it reports.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    now: float | None = None
    """Time of the last tick."""

    asked: int | None = None
    """The number of replicas decided then."""

    seen: tuple[float | None, ...] = ()
    """The last values that change with every request; unchanged for several ticks, they are frozen."""
    traffic: tuple[float | None, ...] = ()
    """The last arrival rates and number of requests in the system."""
    queued: float | None = Field(default=None, ge=0)
    """Requests that waited for a slot at the last tick."""
    still_since: float | None = None
    """Since when the same requests, at least one, have been in the system."""
    unsure_at: float | None = None
    """When the rates were last unusable, or 0 for a minute with requests in the system."""
    repeats: Count = 0
    """For how many ticks `seen` has not changed."""
    blind_since: float | None = None
    """Since when there are no usable signals."""

    service_seconds: Positive | None = None
    """The last measured mean time in a slot."""
    slowed: float = Field(default=1.0, ge=1)
    """How many times the minute's mean that time has been over the last 15 s, if that is no chance."""
    service_seconds_p95: Positive | None = None
    """The 95th percentile of that time until the byte of the objective, smoothed."""

    busy: float | None = Field(default=None, ge=0)
    """Slots busy with arriving work, smoothed over a minute."""
    busy_share: float = Field(default=1.0, ge=0, le=1)
    """The fraction of the variance of one sample that is left after smoothing."""

    ready: Count = 0
    running: Count = 0
    steady_since: float | None = None
    """Since when all running replicas are ready and their number has not changed."""
    starting: tuple[float, ...] = ()
    """Start times of the replicas that are not ready yet, oldest first."""
    startups: tuple[float, ...] = ()
    """The last observed start-up times, in seconds."""

    told_slots: Count = 0
    """Slots per replica as reported by the metrics."""
    slots: Positive | None = None
    """Slots per replica as learned, if that differs."""
    full: tuple[float, ...] = ()
    """Busy slots per replica while requests were queued."""
    watched_since: float | None = None
    """Since when the busiest replica has been measured without a gap at the reported slots."""
    raised_at: float | None = None
    """When `slots` was last raised, or requests were last queued after that."""
    over: Count = 0
    """For how many consecutive ticks more slots were busy than there should be."""

    expected: tuple[TimedValue, ...] = ()
    """Forecast arrival rates, until they can be compared with the actual rate."""
    rates: tuple[TimedValue, ...] = ()
    """The arrival rates over 15 s of the last ticks, oldest first."""
    peakedness: float = Field(default=1.0, ge=1)
    """The variance of the requests in the system as a multiple of that with Poisson arrivals."""
    reserve: float = Field(default=0.0, ge=0)
    """The burst reserve, in requests a second."""
    repetition: Repetition = Repetition()
    """What is known of traffic that repeats."""
    reserve_beyond: float | None = Field(default=None, ge=0)
    """The burst reserve beyond the rates that repetition foresees, while there is a period."""
    expected_beyond: tuple[TimedValue, ...] = ()
    """As `expected`, with the foreseen rates where they are higher."""

    margin: float = Field(default=0.0, ge=0, le=10)
    """The fraction of work added because latency was worse than the queueing model predicts."""
    strain: float = Field(default=1.0, ge=1)
    """How many times longer requests wait than the queueing model predicts."""
    margin_at: float | None = None
    """When the margin and the strain last changed."""
    over_since: float | None = None
    """Since when latency has been over the objective."""

    targets: tuple[TimedValue, ...] = ()
    """Slots needed for the measured load; only those that no later one exceeds."""
    surges: tuple[TimedValue, ...] = ()
    """Slots needed for forecasts and backlogs; likewise."""
    peaks: tuple[TimedValue, ...] = ()
    """The largest target of each minute of the last hour."""
    usual: float | None = None
    """Slots needed while the objective could be met, smoothed."""
    downs: tuple[TimedValue, ...] = ()
    """When replicas were removed, and how many."""

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> SloqState:
        """The state in a recorded one; an empty state if it cannot be read."""
        try:
            return cls.model_validate(state)
        except ValidationError:
            return cls()

    def to_json(self) -> dict[str, Any]:
        """The state as JSON types."""
        return self.model_dump(mode="json", exclude_defaults=True)
