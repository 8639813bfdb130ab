"""Simulated replicas with a queue each, as behind a gateway that sends every request on at once."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from tidegate.lab.simulator.replicas import SimulatedService
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.workload import Workload


def simulated_service(system: System, workload: Workload, seed: int) -> SimulatedService:
    """The service of a system, without replicas; the seed draws start-up times."""
    # Not the stream that the requests were drawn from.
    random = np.random.default_rng((seed, 1))
    kind = SimulatedService if system.dispatch == "queue" else PerReplicaService
    return kind(
        *(system.slots, system.startup_seconds, workload),
        startup_cv=system.startup_cv,
        random=random,
    )


@dataclass(slots=True)
class PerReplicaService(SimulatedService):
    """A service in which a request waits at the replica whose turn it was, while others may be idle."""

    _turn: int = 0

    def _serve(self, first: int, until: float, slowness: float) -> None:
        """Send on every request that arrives before `until`; it may start later."""
        of_replica: dict[int, list[float]] = {}
        for free_at, number in self._free:
            of_replica.setdefault(number, []).append(free_at)
        replicas = [of_replica[number] for number in sorted(of_replica)]
        for slots in replicas:
            heapq.heapify(slots)
        # When a new replica is ready, it takes none of the requests that wait at others, but those that
        # arrived while there was no replica at all start now.
        for number in range(first, len(self._arrivals)):
            arrival = self._arrivals[number]
            if arrival >= until:
                break
            self._turn += 1
            slots = replicas[self._turn % len(replicas)]
            start = max(arrival, slots[0])
            end = start + self._services[number] * slowness
            heapq.heapreplace(slots, end)
            self.started.append(start)
            self.concurrency.append(sum(free_at > start for free_at in slots))
        self._free = [
            (free_at, number)
            for number, slots in zip(sorted(of_replica), replicas, strict=True)
            for free_at in slots
        ]
        heapq.heapify(self._free)
