"""Signals as the autoscaler reads them."""

from tidegate.autoscaler.types import Signals

# One replica without traffic.
IDLE = Signals(
    arrival_rate=0.0,
    service_seconds=None,
    in_system=0.0,
    slots_per_replica=2,
    ready=1,
    running=1,
    desired=1,
    latency_seconds=None,
    age_seconds=1.0,
    arrival_rate_60s=0.0,
    busy=0.0,
    queued=0.0,
    gateway_age_seconds=1.0,
)
