"""Simulated replicas, their slots, and the central queue, or a queue in each.

Between two changes of the replicas, requests start in order of arrival, each as soon as it has arrived and a
slot is free; a heap of the times at which slots become free is enough for that. A request that would start
after the next change stays in the queue, so that a new replica takes on the backlog at once.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

import numpy as np

from tidegate.autoscaler.sloq.correct import MAX_STARTUPS
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Floats
from tidegate.lab.simulator.workload import Workload


@dataclass(slots=True)
class SimulatedReplica:
    """The lifetime of a replica, in seconds; `inf`: not yet."""

    started_at: float
    ready_at: float
    gone_at: float = math.inf


@dataclass(slots=True)
class SimulatedService:
    """The replicas and the queue of the simulated service.

    Attributes:
        slots: the current slots per replica.
        startup_seconds: from the start of a replica until it accepts requests.
        started: the start time of each request that has got a slot.
        services: the time in a slot of each request.
        replicas: all replicas, including stopped ones.
        startups: the start-up times of the latest replicas, in seconds, oldest first.
        concurrency: how many requests the replica of each started one worked on with it; empty with one
            queue, where it is not recorded.
    """

    slots: int
    startup_seconds: float
    workload: Workload
    started: list[float] = field(default_factory=list)
    services: Floats = field(init=False)
    replicas: list[SimulatedReplica] = field(default_factory=list)
    startup_cv: float = 0.0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    concurrency: list[int] = field(default_factory=list)
    startups: list[float] = field(default_factory=list)
    _free: list[tuple[float, int]] = field(default_factory=list)
    _kept: list[int] = field(default_factory=list)
    _sizes: list[tuple[float, int]] = field(default_factory=list)
    _first_slots: int = field(init=False)
    _arrivals: list[float] = field(init=False)
    _services: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._first_slots = self.slots
        # Lists of floats: a loop over them is three times as fast as over an array.
        self._arrivals = self.workload.arrivals.tolist()
        self._services = self.workload.services.tolist()
        self.services = self.workload.services.copy()

    @property
    def ready(self) -> int:
        """Replicas that accept requests."""
        return len(self._free) // self.slots

    @property
    def running(self) -> int:
        """Replicas that are ready or starting."""
        return len(self._kept)

    def next_ready(self) -> float:
        """The time at which the next replica becomes ready; `inf` if none is starting."""
        return min((replica.ready_at for _, replica in self._starting()), default=math.inf)

    def serve(self, until: float, slowness: float = 1.0) -> None:
        """Start the requests that can start before `until`; `slowness` multiplies their time in a slot."""
        if not self._free:
            return
        first = len(self.started)
        self._serve(first, until, slowness)
        if slowness != 1.0:
            self.services[first : len(self.started)] *= slowness

    def _serve(self, first: int, until: float, slowness: float) -> None:
        # The hot loop: local names, and nothing in it that could be outside.
        free, arrivals, services = self._free, self._arrivals, self._services
        replace, append = heapq.heapreplace, self.started.append
        for number in range(first, len(arrivals)):
            start = arrivals[number]
            slot = free[0]
            if slot[0] > start:  # noqa: PLR1730 - a call of max() takes twice as long
                start = slot[0]
            if start >= until:
                return
            replace(free, (start + services[number] * slowness, slot[1]))
            append(start)

    def make_ready(self, now: float) -> None:
        """Make the replicas ready whose start-up is over."""
        for number, replica in self._starting():
            if replica.ready_at <= now:
                self._open(number, now)
                self._measured(replica.ready_at - replica.started_at)

    def resize(self, desired: int, now: float) -> None:
        """Start or stop replicas until `desired` are running."""
        for _ in range(desired - self.running):
            self._add(SimulatedReplica(now, now + self._startup()))
        for _ in range(self.running - desired):
            self._stop_one(now)

    def set_slots(self, slots: int, now: float) -> None:
        """Set the slots of every replica; if there are fewer, those that become free first are removed."""
        if slots == self.slots:
            return
        slots_left: list[tuple[float, int]] = []
        for number in {number for _, number in self._free}:
            own = sorted(slot for slot in self._free if slot[1] == number)
            slots_left += own[max(0, len(own) - slots) :] + [(now, number)] * (slots - len(own))
        heapq.heapify(slots_left)
        self._free, self.slots = slots_left, slots
        self._sizes.append((now, slots))

    def start_ready(self, count: int) -> None:
        """Start with `count` ready replicas at time 0, whose start-up has been measured."""
        for number in range(count):
            self._add(SimulatedReplica(0.0, 0.0))
            self._open(number, 0.0)
            self._measured(self._startup())

    def replica_seconds(self, until: float) -> float:
        """The cost: from the start of each replica until it has finished its last request.

        A replica with more slots than at first costs proportionally more.
        """
        if self._sizes:
            return self._sized_seconds(until)
        return sum(
            min(replica.gone_at, until) - replica.started_at
            for replica in self.replicas
            if replica.started_at < until
        )

    def _sized_seconds(self, until: float) -> float:
        changes = [(0.0, self._first_slots), *self._sizes]
        ends = [*(at for at, _ in changes[1:]), until]
        return sum(
            max(0.0, min(replica.gone_at, end) - max(replica.started_at, begin))
            * (slots / self._first_slots)
            for (begin, slots), end in zip(changes, ends, strict=True)
            for replica in self.replicas
        )

    def _startup(self) -> float:
        sigma = math.sqrt(math.log1p(self.startup_cv**2))
        factor = float(self.random.lognormal(-sigma * sigma / 2, sigma)) if sigma else 1.0
        return self.startup_seconds * factor

    def _measured(self, startup: float) -> None:
        self.startups = [*self.startups, startup][-MAX_STARTUPS:]

    def _starting(self) -> list[tuple[int, SimulatedReplica]]:
        if len(self._free) == len(self._kept) * self.slots:
            return []
        open_now = {number for _, number in self._free}
        return [(number, self.replicas[number]) for number in self._kept if number not in open_now]

    def _add(self, replica: SimulatedReplica) -> None:
        self._kept.append(len(self.replicas))
        self.replicas.append(replica)

    def _open(self, number: int, now: float) -> None:
        for _ in range(self.slots):
            heapq.heappush(self._free, (now, number))

    def _stop_one(self, now: float) -> None:
        """Stop the newest starting replica, else the least busy one, which finishes its requests."""
        starting = self._starting()
        if starting:
            number, newest = starting[-1]
            newest.gone_at = now
            self._kept.remove(number)
            return
        busy: dict[int, int] = {}
        for free_at, number in self._free:
            busy[number] = busy.get(number, 0) + (free_at > now)
        idlest = min(busy, key=lambda number: (busy[number], -number))
        own = [free_at for free_at, number in self._free if number == idlest]
        self._kept.remove(idlest)
        self.replicas[idlest].gone_at = max(now, *own)
        self._free = [slot for slot in self._free if slot[1] != idlest]
        heapq.heapify(self._free)


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
