"""What SLOQ is told by its settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SloqParameters:
    """What SLOQ is told.

    Attributes:
        min: never fewer replicas.
        max: never more replicas.
        slo_seconds: the response time to keep, as the client feels it.
        slo_quantile: the share of requests that must keep it.
        stale_seconds: older signals are not believed.
        tick_seconds: from one decision to the next.
        service_seconds: mean time in a slot to start from, until one is measured.
        startup_seconds: start-up time of a replica to start from, until one is measured.
        late_share: how many of the requests that may miss the objective may do so by waiting.
        patience_share: the wait that is always allowed, as a share of the objective.
        rise_sigmas: a rise counts if it is this many standard deviations of Poisson noise.
        rise_most: a rise is followed to so many times the rate of now, at most.
        reserve_coverage: the share of surprises that the burst reserve covers; 0 is none.
        reserve_step: how far one surprise moves the burst reserve, as a share of the rate.
        backlog_seconds: in how long a backlog should be worked off.
        broken_most: while the objective cannot be met, at most so many times the usual size, and at most
            half-way from there to `max`.
        stay_margin: so much more work must fit before a replica leaves.
        down_seconds: down follows the largest target of this long.
        surge_seconds: and the largest of this long that a passing rise or a backlog made.
        down_share: at most this share of the replicas leaves ...
        down_period_seconds: ... in this long.
        blind_seconds: blind for longer than this, there must be as many as the last hour needed.
        frozen_ticks: signals that stand still for so many ticks are frozen.
    """

    min: int
    max: int
    slo_seconds: float
    slo_quantile: float = 0.95
    stale_seconds: float = 15.0
    tick_seconds: float = 5.0
    service_seconds: float = 0.1
    startup_seconds: float = 30.0
    late_share: float = 0.1
    patience_share: float = 0.15
    rise_sigmas: float = 2.5
    rise_most: float = 2.0
    reserve_coverage: float = 0.96
    reserve_step: float = 0.05
    backlog_seconds: float = 10.0
    broken_most: float = 3.0
    stay_margin: float = 0.08
    down_seconds: float = 180.0
    surge_seconds: float = 60.0
    down_share: float = 0.25
    down_period_seconds: float = 30.0
    blind_seconds: float = 60.0
    frozen_ticks: int = 4
