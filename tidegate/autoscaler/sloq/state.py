"""What SLOQ remembers from one tick to the next: JSON types, so that a decision replays from its event."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
TimedValue = tuple[float, float]
"""A time in seconds, and a number of that time."""


class SloqState(BaseModel):
    """The state of SLOQ. Times are on the clock of the ticks; work is in slots, not in replicas.

    Work is what stays true when the slots of a replica turn out to be others than was said.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    now: float | None = None
    """The last tick."""

    asked: int | None = None
    """The number decided then."""

    seen: tuple[float | None, ...] = ()
    """The last values that change with every request: equal ones at several ticks are frozen."""
    traffic: tuple[float | None, ...] = ()
    """The last arrival rates and requests in system."""
    repeats: Count = 0
    """At how many ticks they have stood still."""
    blind_since: float | None = None
    """Since when nothing that was measured could be believed."""

    service_seconds: Positive | None = None
    """The last believed mean time in a slot."""
    service_seconds_p95: Positive | None = None
    """Its 95th percentile, smoothed."""

    busy: float | None = Field(default=None, ge=0)
    """Busy slots, smoothed over a minute."""
    busy_share: float = Field(default=1.0, ge=0, le=1)
    """Of their variance at one moment, how much is left in that."""

    ready: Count = 0
    running: Count = 0
    steady_since: float | None = None
    """Since when all replicas that run are ready, and as many as before."""
    starting: tuple[float, ...] = ()
    """When the replicas began that are not ready yet, oldest first."""
    startups: tuple[float, ...] = ()
    """How long the last ones took, in seconds."""

    told_slots: Count = 0
    """What the metrics said of the slots of a replica."""
    slots: Positive | None = None
    """What was learned instead, if that is another number."""
    full: tuple[float, ...] = ()
    """Busy slots of a replica while requests queued."""
    watched_since: float | None = None
    """Since when the busiest replica is known, on end, with the slots that are told."""
    raised_at: float | None = None
    """When more slots were last believed than before, or requests last queued since."""
    over: Count = 0
    """At how many ticks running more slots were busy than there should be."""

    expected: tuple[TimedValue, ...] = ()
    """The arrival rates that were sized for, until it shows whether they were enough."""
    reserve: float = Field(default=0.0, ge=0)
    """The burst reserve, in requests a second."""

    margin: float = Field(default=0.0, ge=0, le=10)
    """The share of work added because latency was worse than the queueing model says."""
    margin_at: float | None = None
    """When it was last changed."""

    targets: tuple[TimedValue, ...] = ()
    """Slots that were needed for what arrived; only those that no later one exceeds."""
    surges: tuple[TimedValue, ...] = ()
    """Slots that were wanted for what was expected and for backlogs; likewise."""
    peaks: tuple[TimedValue, ...] = ()
    """The largest target of each minute of the last hour."""
    usual: float | None = None
    """Slots wanted when the objective could last be met."""
    downs: tuple[TimedValue, ...] = ()
    """When replicas were taken away, and how many."""

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> SloqState:
        """The memory in a policy's state; an empty one if that holds none that can be read."""
        try:
            return cls.model_validate(state)
        except ValidationError:
            return cls()

    def to_json(self) -> dict[str, Any]:
        """The policy's state: JSON types only."""
        return self.model_dump(mode="json", exclude_defaults=True)
