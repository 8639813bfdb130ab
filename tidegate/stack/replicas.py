"""The replicas: numbered slots, each kept by a keeper; their number follows what was asked for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tidegate.stack.journal import Journal
from tidegate.stack.keeper import Keeper, State
from tidegate.stack.probe import Fetch

Load = Callable[[], Awaitable[Mapping[int, int]]]
"""The requests that each replica works on, by its number; empty if that cannot be known now."""

LOAD_SECONDS: Final = 0.5
_SESSIONS = re.compile(
    r'^haproxy_server_current_sessions\{proxy="model",server="model(\d+)"\} (\d+)', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Occupant:
    """Who is in a slot: its state, and when it was started (seconds since 1970)."""

    state: State
    started_at: float


def plan(
    slots: Mapping[int, Occupant], desired: int, limit: int, load: Mapping[int, int]
) -> tuple[list[int], list[int]]:
    """Which numbers to start and which to drain, so that `desired` replicas are active.

    Draining ones are no longer active but still hold their number. The lowest free numbers are taken;
    given up are those that take no requests, then those with the fewest, then the newest.

    Args:
        slots: the occupied numbers.
        desired: how many there shall be.
        limit: the highest number.
        load: requests that each works on, as far as known.
    """
    active = [number for number, one in slots.items() if one.state not in {"draining", "gone"}]
    surplus = len(active) - desired
    if surplus <= 0:
        free = [number for number in range(1, limit + 1) if number not in slots]
        return free[:-surplus], []

    def worth(number: int) -> tuple[bool, int, float, int]:
        one = slots[number]
        return one.state == "ready", load.get(number, 0), -one.started_at, -number

    return [], sorted(active, key=worth)[:surplus]


def gateway_load(fetch: Fetch, metrics_port: int) -> Load:
    """The load, from the gateway's exporter."""
    url = f"http://127.0.0.1:{metrics_port}/metrics?scope=server"

    async def load() -> Mapping[int, int]:
        text = await fetch(url, LOAD_SECONDS)
        return {int(number): int(busy) for number, busy in _SESSIONS.findall(text or "")}

    return load


@dataclass(slots=True)
class ReplicaPool:
    """Replicas number 1 to `limit`, as many as desired.

    One task brings what is to what is wanted, whenever either changes; so a wish that comes while
    replicas still drain is met as their numbers become free.
    """

    make: Callable[[int], Keeper]
    journal: Journal
    load: Load
    limit: int
    desired: int
    slots: dict[int, Keeper] = field(default_factory=dict, init=False)
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
            self.journal.note(
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

    async def run(self) -> None:
        """Follow what is desired, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            surplus = len(self.slots) - len(self._drains) > self.desired
            load = await self.load() if surplus else {}
            occupants = {
                number: Occupant(
                    "draining" if number in self._drains else keeper.state, keeper.started_at
                )
                for number, keeper in self.slots.items()
            }
            start, drain = plan(occupants, self.desired, self.limit, load)
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
        keeper = self.make(number)
        self.slots[number] = keeper
        keeper.begin()

    async def _drain(self, number: int) -> None:
        keeper = self.slots[number]
        self.journal.note("drain", "finishes its requests", component=keeper.program.name)
        await keeper.stop()
        del self.slots[number], self._drains[number]
        self.journal.note("gone", "gone", component=keeper.program.name)
        keeper.changed()
        self._wake.set()
