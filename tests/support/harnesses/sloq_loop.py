"""SLOQ in a loop of ticks."""

from dataclasses import replace
from typing import Any

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Decision, Signals

PARAMETERS = SloqParameters(min=1, max=20, slo_seconds=0.6)
# 50/s for 0.2 s are 10 slots of work, which leaves a wait of 0.6 - 0.46 = 0.14 s.
CALM = Signals(
    arrival_rate=50.0,
    service_seconds=0.2,
    in_system=10.0,
    slots_per_replica=4,
    ready=4,
    running=4,
    desired=4,
    latency_seconds=0.5,
    age_seconds=1.0,
    arrival_rate_60s=50.0,
    service_seconds_p95=0.46,
    busy=10.0,
    queued=0.0,
    completed_rate=50.0,
)


class SloqLoop:
    """Ticks of 5 s. The decided number is ready at the next tick unless a test changes it."""

    def __init__(self, parameters: SloqParameters = PARAMETERS, **calm: Any) -> None:
        self.decide = sloq(parameters)
        self.now = 100.0
        self.state: dict[str, Any] = {}
        self.signals = replace(CALM, **calm)
        self._ticks = 0

    def tick(self, **changed: Any) -> Decision:
        self.now += 5.0
        self._ticks += 1
        # Real means change with every request; unchanged values would count as frozen.
        moving: dict[str, Any] = {"latency_seconds": 0.5 + 0.001 * (self._ticks % 7)}
        # What arrives also leaves, unless a test says otherwise.
        if "arrival_rate" in changed:
            moving["completed_rate"] = changed["arrival_rate"]
        seen = replace(self.signals, **{**moving, **changed})
        decision = self.decide(self.state, seen, self.now)
        self.state = decision.state
        number = decision.desired
        self.signals = replace(self.signals, ready=number, running=number, desired=number)
        return decision

    def ticks(self, count: int, **changed: Any) -> list[Decision]:
        return [self.tick(**changed) for _ in range(count)]
