"""The replicas: numbered slots, each kept by a keeper; their number follows what was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Fetch
from tidegate.runtime.metrics_text import sample_value, samples
from tidegate.stack.gateway.runtime_api import PROXY
from tidegate.stack.processes.process_supervisor import Keeper, State
from tidegate.stack.replicas.release import Release

Load = Callable[[], Awaitable[Mapping[int, int]]]
"""The requests that each replica works on, by its number; empty if that cannot be known now."""

LOAD_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who is in a slot: its state, when it was started (seconds since 1970), what it serves."""

    state: State
    started_at: float
    current: bool = True
    """Whether it serves what all shall serve; else it is to be replaced."""


def plan(
    slots: Mapping[int, Occupant],
    desired: int,
    limit: int,
    load: Mapping[int, int],
    surge: int = 0,
) -> tuple[list[int], list[int]]:
    """Which numbers to start and which to drain, so that `desired` replicas are active, and `surge` more.

    Draining ones are no longer active but still hold their number. The lowest free numbers are taken;
    given up are those that take no requests, then those that are to be replaced, then those with the
    fewest requests, then the newest. During a replacement, so many as `surge` of those that start on what
    all shall serve are kept: they are what it waits for.

    Args:
        slots: the occupied numbers.
        desired: how many there shall be.
        limit: the highest number.
        load: requests that each works on, as far as known.
        surge: how many there shall be on top.
    """
    active = [number for number, one in slots.items() if one.state not in {"draining", "gone"}]
    coming = sorted(n for n in active if slots[n].current and slots[n].state != "ready")[:surge]
    surplus = len(active) - desired - surge
    if surplus <= 0:
        free = [number for number in range(1, limit + 1) if number not in slots]
        return free[:-surplus], []

    def worth(number: int) -> tuple[bool, bool, bool, int, float, int]:
        one = slots[number]
        busy = load.get(number, 0)
        ready = one.state == "ready"
        return number in coming, ready, one.current, busy, -one.started_at, -number

    return [], sorted(active, key=worth)[:surplus]


def gateway_load(fetch: Fetch, metrics_port: int) -> Load:
    """The load, from the gateway's exporter."""
    url = f"http://127.0.0.1:{metrics_port}/metrics?scope=server"

    async def load() -> Mapping[int, int]:
        text = await fetch(url, LOAD_SECONDS)
        found = samples(text or "", "haproxy_server_current_sessions", proxy=PROXY)
        servers = ((labels["server"].removeprefix(PROXY), busy) for labels, busy in found)
        return {
            int(number): int(busy)
            for number, busy in servers
            if number.isdecimal() and busy.is_integer()
        }

    return load


def gateway_sees(fetch: Fetch, metrics_port: int) -> Callable[[int], Awaitable[bool]]:
    """Whether the gateway sends requests to a replica, from the gateway's exporter."""
    url = f"http://127.0.0.1:{metrics_port}/metrics?scope=server"

    async def seen(number: int) -> bool:
        text = await fetch(url, LOAD_SECONDS)
        labels = {"proxy": PROXY, "server": f"{PROXY}{number}", "state": "UP"}
        return sample_value(text or "", "haproxy_server_status", **labels) == 1

    return seen


@dataclass(slots=True)
class ReplicaPool:
    """Replicas number 1 to `limit`, as many as desired, and one more while they are replaced.

    One task brings what is to what is wanted, whenever either changes; so a wish that comes while
    replicas still drain is met as their numbers become free.
    """

    make: Callable[[int, Release], Keeper]
    event_log: EventLog
    load: Load
    limit: int
    desired: int
    release: Release
    slots: dict[int, Keeper] = field(default_factory=dict, init=False)
    _serving: dict[int, Release] = field(default_factory=dict, init=False)
    _surge: int = field(default=0, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _drains: dict[int, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def begin(self) -> Sequence[Keeper]:
        """Start the first replicas."""
        for number in range(1, self.desired + 1):
            self._start(number)
        return list(self.slots.values())

    def resize(self, desired: int) -> None:
        """Ask for a number of replicas; `run` sees to it."""
        if desired != self.desired:
            self.event_log.record(
                "resize",
                f"{self.desired} → {desired} replicas asked for",
                component="replicas",
                fields={
                    "tidegate": {
                        "component": "replicas",
                        "replicas": {"before": self.desired, "desired": desired},
                    }
                },
            )
            self.desired = desired
        self._wake.set()

    def turn_to(self, release: Release) -> None:
        """Let whatever is started from now on serve this; those that serve another are given up first."""
        self.release = release
        self._wake.set()

    def surge(self, count: int) -> None:
        """Have so many more replicas than desired."""
        self._surge = count
        self._wake.set()

    def current(self) -> list[tuple[int, Keeper]]:
        """Those that serve what all shall serve, and do not drain."""
        return [pair for pair in self._active() if self._serving[pair[0]] == self.release]

    def others(self) -> list[tuple[int, Keeper]]:
        """Those that serve something else, and do not drain."""
        return [pair for pair in self._active() if self._serving[pair[0]] != self.release]

    def surplus(self) -> bool:
        """Whether there are more than there shall be, those that drain included."""
        return len(self.slots) > self.desired + self._surge

    def full(self) -> bool:
        """Whether as many are active as there shall be."""
        return len(self._active()) >= self.desired + self._surge

    def _active(self) -> list[tuple[int, Keeper]]:
        return [pair for pair in sorted(self.slots.items()) if pair[0] not in self._drains]

    async def run(self) -> None:
        """Follow what is desired, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            surplus = len(self.slots) - len(self._drains) > self.desired + self._surge
            load = await self.load() if surplus else {}
            occupants = {
                number: Occupant(
                    "draining" if number in self._drains else keeper.state,
                    keeper.started_at,
                    self._serving[number] == self.release,
                )
                for number, keeper in self.slots.items()
            }
            # One number more than there may be replicas: else none could be replaced at the limit.
            limit = self.limit + self._surge
            start, drain = plan(occupants, self.desired, limit, load, self._surge)
            for number in start:
                self._start(number)
            for number in drain:
                self._drains[number] = asyncio.create_task(self._drain(number))

    async def drain_all(self) -> None:
        """Let every replica finish its requests and end. `run` must have been cancelled."""
        for number in self.slots.keys() - self._drains.keys():
            self._drains[number] = asyncio.create_task(self._drain(number))
        if self._drains:
            await asyncio.gather(*self._drains.values())

    def _start(self, number: int) -> None:
        keeper = self.make(number, self.release)
        self.slots[number], self._serving[number] = keeper, self.release
        keeper.begin()

    async def _drain(self, number: int) -> None:
        keeper = self.slots[number]
        self.event_log.record("drain", "finishes its requests", component=keeper.program.name)
        await keeper.stop()
        del self.slots[number], self._drains[number], self._serving[number]
        self.event_log.record("gone", "gone", component=keeper.program.name)
        keeper.changed()
        self._wake.set()
