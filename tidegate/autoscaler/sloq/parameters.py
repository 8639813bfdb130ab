"""The parameters of SLOQ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Priority = Literal["cost", "balanced", "latency"]

PRIORITIES: Final[Mapping[Priority, Mapping[str, float]]] = MappingProxyType(
    {
        "cost": {"coverage": 0.93, "wait_share": 0.6},
        "balanced": {},
        "latency": {"coverage": 0.98, "wait_share": 0.2},
    }
)
"""What the setting `autoscaler.priority` changes: the reserve, and how much of a wait is planned for."""


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
        wait_share: the wait to plan for, as a fraction of what the objective leaves for it; more where a new
            replica is soon ready (`size.py`).
        coverage: the fraction of forecast errors that the burst reserve covers; fewer where a new replica is
            soon ready (`size.py`); 0: no reserve.
        burst_sigmas: arrivals of 5 s that exceed the minute's rate by this many standard deviations count as
            the current rate, where the gateway's counters do not show a jump sooner; 0: never.
        backlog_ahead: how many times to count the backlog when a replica started now is ready; 0: not at all.
        correction_most: requests are taken to wait up to this many times as long as the model says, where it
            is measured; 1: as the model says, also of how long they occupy a slot.
        stay_margin: the extra work that must fit before a replica is removed, as a fraction.
        down_seconds: scale-down follows the largest target of this window.
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
    wait_share: float = 0.3
    coverage: float = 0.95
    burst_sigmas: float = 7.0
    backlog_ahead: float = 2.5
    correction_most: float = 100.0
    stay_margin: float = 0.08
    down_seconds: float = 170.0
