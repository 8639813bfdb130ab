"""The parameters of SLOQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class SloqParameters:
    """The options of `sloq`, and what the settings say of replicas and the objective.

    Attributes:
        min: the minimum number of replicas.
        max: the maximum.
        slo_seconds: the objective: the maximum response time as seen by the client.
        slo_quantile: the fraction of requests that must meet it.
        until: the byte of the response that must arrive within it; a slot is busy until the last one.
        stale_seconds: older signals are not used.
        tick_seconds: the time between decisions.
        service_seconds: initial mean time in a slot, until it is measured.
        startup_seconds: initial start-up time of a replica, until it is measured.
        late_share: the fraction of the requests that may miss the objective that may do so by waiting.
        patience_share: the wait that is always allowed, as a fraction of the objective.
        patience_most: the wait to plan for at most, in mean times in a slot; 0: what the objective leaves.
        slowdown_most: that wait is divided by how many times as long requests could take and still meet the
            objective, but by this at most; 1: not divided.
        rise_sigmas: a rise counts if it exceeds this many standard deviations of Poisson noise.
        rise_most: the forecast of a rise is at most this multiple of the current rate.
        reserve_coverage: the fraction of forecast errors that the burst reserve covers; 0: no reserve.
        reserve_step: how far one forecast error moves the burst reserve, as a fraction of the rate.
        backlog_seconds: the time in which a backlog should be worked off.
        broken_most: while the objective cannot be met, the maximum multiple of the usual size; also at most
            half-way from there to `max`.
        peakedness_most: traffic counts as at most this many times as variable as Poisson arrivals; 1: as
            these.
        burst_sigmas: arrivals of 5 s that exceed the minute's rate by this many standard deviations count as
            the current rate; 0: never.
        backlog_ahead: how many times to count the backlog when a replica started now is ready; 0: not at all.
        margin_requests: the margin and the strain grow only with at least this many requests in a minute.
        margin_most: the maximum of the work added while latency exceeds the objective, as a fraction.
        strain_most: while latency exceeds the objective, requests are taken to wait up to this many times as
            long as the queueing model predicts; 1: as predicted.
        margin_fade: what is left of it after each 30 s within the objective.
        stay_margin: the extra work that must fit before a replica is removed, as a fraction.
        down_seconds: scale-down follows the largest target of this window.
        surge_seconds: the same for targets that come from a temporary rise or a backlog.
        down_share: the maximum fraction of replicas removed within `down_period_seconds`.
        down_period_seconds: the period of `down_share`.
        blind_seconds: without usable signals for this long, cover the peak of the last hour.
        frozen_ticks: signals unchanged for this many ticks count as frozen.
        still_seconds: no replica is removed while the requests in the system, if any, have not changed, for
            up to this long: counters may have stopped, which takes the rates a minute to show; 0: it may be.
        repeats: 1: traffic that repeats is forecast where earlier forecasts of it were right; 0: it is not.
    """

    min: int
    max: int
    slo_seconds: float
    slo_quantile: float = 0.95
    until: Literal["last_byte", "first_byte"] = "last_byte"
    stale_seconds: float = 15.0
    tick_seconds: float = 5.0
    service_seconds: float = 0.1
    startup_seconds: float = 30.0
    late_share: float = 0.2
    patience_share: float = 0.15
    patience_most: float = 0.35
    slowdown_most: float = 2.0
    rise_sigmas: float = 2.5
    rise_most: float = 2.0
    reserve_coverage: float = 0.95
    reserve_step: float = 0.1
    backlog_seconds: float = 10.0
    broken_most: float = 3.0
    peakedness_most: float = 10.0
    burst_sigmas: float = 4.0
    backlog_ahead: float = 2.5
    margin_requests: float = 20.0
    margin_most: float = 0.6
    strain_most: float = 30.0
    margin_fade: float = 0.95
    stay_margin: float = 0.08
    down_seconds: float = 120.0
    surge_seconds: float = 60.0
    down_share: float = 0.25
    down_period_seconds: float = 30.0
    blind_seconds: float = 60.0
    frozen_ticks: int = 4
    still_seconds: float = 90.0
    repeats: int = 1
