"""The sections of the request slots and of the simulated device that occupies them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from tidegate.settings.section import OrderError, Seconds, Section, UrlPath


class Slots(Section):
    """Request slots: how many requests a replica processes concurrently. The others wait in the gateway."""

    per_replica: int = Field(default=2, ge=1, le=256)
    """Number of slots of a replica."""
    max: int | None = Field(default=None, ge=1, le=256)
    """Maximum number of slots of a running replica; unset means that the number does not change."""
    file: Path | None = None
    """File with the current number of slots, which a running replica follows; `tidegate up` sets its own."""
    wait_seconds: Seconds = 2.0
    """Maximum time that a request waits for a slot inside a replica; then it gets a 503."""
    wait_length: int = Field(default=64, ge=0, le=10_000)
    """Maximum number of requests that wait inside a replica; further ones get a 503."""
    paths: tuple[UrlPath, ...] = ()
    """Paths whose requests take a slot, with all below them; empty means all paths but those of probes,
    metrics, `/docs`, `/redoc`, `/openapi.json` and `telemetry.quiet_paths`."""

    @property
    def effective_max(self) -> int:
        """The maximum number of slots of a replica: `max`, or `per_replica` if it is unset."""
        return self.per_replica if self.max is None else self.max

    @model_validator(mode="after")
    def _in_order(self) -> Slots:
        if self.effective_max < self.per_replica:
            raise OrderError("per_replica ≤ max", per_replica=self.per_replica, max=self.max)
        return self


class Device(Section):
    """The simulated accelerator: a request occupies its slot for a configured time without using the CPU."""

    simulated: bool = False
    """Whether requests occupy their slot for the times below. Responses and views show this as simulated."""
    light_seconds: float = Field(default=0.030, ge=0, le=60)
    """Device time of a light request."""
    medium_seconds: float = Field(default=0.080, ge=0, le=60)
    """Device time of a medium request."""
    heavy_seconds: float = Field(default=0.200, ge=0, le=60)
    """Device time of a heavy request."""
