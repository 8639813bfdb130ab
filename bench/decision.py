"""CPU of a decision of SLOQ by the number of replicas that it decides about: `python -m bench.decision`."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any, Final

from bench.results import result, save
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Signals

REPLICAS: Final = (1, 100, 1000, 10_000)
ROUNDS: Final = 7
TICKS: Final = 200
SLOTS: Final = 2
SERVICE_SECONDS: Final = 0.05
BUSY: Final = 0.7
TARGET_MS: Final = 10.0


def main() -> None:
    """Decide many times about a service of each size."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    found = [
        result(
            f"a decision about {count:,} replicas",
            [decision_seconds(count) * 1e3 for _ in range(ROUNDS)],
            unit="ms",
            target=TARGET_MS,
        )
        for count in REPLICAS
    ]
    save("decision", found)


def decision_seconds(replicas: int) -> float:
    """Mean CPU of a tick from the state before; its inputs are sums, whatever the number of replicas."""
    decide = sloq(SloqParameters(min=1, max=2 * replicas, slo_seconds=0.5))
    rate = BUSY * replicas * SLOTS / SERVICE_SECONDS
    calm = Signals(
        arrival_rate=rate,
        service_seconds=SERVICE_SECONDS,
        in_system=BUSY * replicas * SLOTS,
        slots_per_replica=SLOTS,
        ready=replicas,
        running=replicas,
        desired=replicas,
        latency_seconds=0.2,
        age_seconds=1.0,
        arrival_rate_60s=rate,
        service_seconds_p95=2 * SERVICE_SECONDS,
        busy=BUSY * replicas * SLOTS,
        queued=0.0,
    )
    state: dict[str, Any] = {}
    began = time.process_time()
    for tick in range(TICKS):
        factor = 1 + 0.1 * (tick % 5) / 4
        moved = replace(calm, arrival_rate=rate * factor, latency_seconds=0.2 + 0.001 * (tick % 7))
        decision = decide(state, moved, 5.0 * tick)
        state = decision.state
        calm = replace(
            calm, desired=decision.desired, ready=decision.desired, running=decision.desired
        )
    return (time.process_time() - began) / TICKS


if __name__ == "__main__":
    main()
