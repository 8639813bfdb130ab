"""The replicas, each a supervised process with an index; reconciled with the desired number."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.keep_running import keep_running
from tidegate.stack.gateway.runtime_api import (
    GatewayBusyError,
    GatewayUnavailableError,
    RuntimeApi,
    RuntimeApiError,
    Server,
)
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, State
from tidegate.stack.replicas.release import Release

# A request that the gateway sent just before it drained the replica has then reached its program.
IN_TRANSIT_SECONDS: Final = 0.1
IDLE_POLL_SECONDS: Final = 0.1
# A program that has waited for its requests for all its time may still take so long to end.
END_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
# A start that takes longer, as it reads a large model or hangs, no longer holds back others.
TURN_SECONDS: Final = 0.9


@dataclass(frozen=True, slots=True)
class ReplicaSnapshot:
    """A replica at one point in time; `started_at` is in seconds since 1970."""

    state: State
    started_at: float
    up_to_date: bool = True
    """Whether it serves the release of the pool; otherwise it is to be replaced."""


def plan(
    replicas: Mapping[int, ReplicaSnapshot],
    desired: int,
    max_index: int,
    load: Mapping[int, int],
    surge: int = 0,
) -> tuple[list[int], list[int]]:
    """Which indexes to start and which to drain, so that `desired` + `surge` replicas are active.

    A draining replica is no longer active but still occupies its index. The lowest free indexes are started.
    Drained first are those that are not ready, then those that are out of date, then those with the fewest
    requests, then the newest. During a rollout up to `surge` up-to-date replicas that still start are
    protected: the rollout waits for them.
    """
    active = [index for index, one in replicas.items() if one.state not in {"draining", "gone"}]
    protected = sorted(
        index for index in active if replicas[index].up_to_date and replicas[index].state != "ready"
    )[:surge]
    surplus = len(active) - desired - surge
    if surplus <= 0:
        free = [index for index in range(1, max_index + 1) if index not in replicas]
        return free[:-surplus], []

    def drain_order(index: int) -> tuple[bool, bool, bool, int, float, int]:
        one = replicas[index]
        in_flight = load.get(index, 0)
        ready = one.state == "ready"
        return index in protected, ready, one.up_to_date, in_flight, -one.started_at, -index

    return [], sorted(active, key=drain_order)[:surplus]


@dataclass(slots=True)
class ReplicaPool:
    """Replicas with the indexes 1 to `max_replicas`, and one more during a rollout.

    One task reconciles the replicas with the desired number whenever either changes; a resize during a drain
    takes effect as indexes become free. At most `at_once` replicas begin their starts together: a start is
    CPU time, and of four that share two CPUs the first would be ready as late as the last.
    """

    create: Callable[[int, Release], ProcessSupervisor]
    event_log: EventLog
    gateway: RuntimeApi
    max_replicas: int
    desired: int
    release: Release
    at_once: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    processes: dict[int, ProcessSupervisor] = field(default_factory=dict, init=False)
    _releases: dict[int, Release] = field(default_factory=dict, init=False)
    _surge: int = field(default=0, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _drains: dict[int, asyncio.Task[None]] = field(default_factory=dict, init=False)

    def start(self) -> Sequence[ProcessSupervisor]:
        """Start the first replicas that are not there yet."""
        for index in range(1, self.desired + 1):
            if index not in self.processes:
                self._start(index)
        return list(self.processes.values())

    def resize(self, desired: int) -> None:
        """Set the desired number of replicas; `run` reconciles."""
        if desired != self.desired:
            self.event_log.record(
                "resize",
                f"{self.desired} → {desired} replicas requested",
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

    def set_release(self, release: Release) -> None:
        """Serve this release from new replicas; those with another release are drained first."""
        self.release = release
        self._wake.set()

    def wake(self) -> None:
        """Reconcile again: the gateway may have restarted, and then sends no requests."""
        self._wake.set()

    def surge(self, count: int) -> None:
        """Run this many replicas above the desired number."""
        self._surge = count
        self._wake.set()

    def up_to_date(self) -> list[tuple[int, ProcessSupervisor]]:
        """The active replicas that serve the release of the pool."""
        return [pair for pair in self._active() if self._releases[pair[0]] == self.release]

    def outdated(self) -> list[tuple[int, ProcessSupervisor]]:
        """The active replicas that serve another release."""
        return [pair for pair in self._active() if self._releases[pair[0]] != self.release]

    def has_surplus(self) -> bool:
        """Whether there are more replicas than desired, including those that drain."""
        return len(self.processes) > self.desired + self._surge

    def missing(self) -> int:
        """How many replicas have still to be started, as they wait for their turn."""
        return max(0, self.desired + self._surge - len(self._active()))

    def _active(self) -> list[tuple[int, ProcessSupervisor]]:
        return [pair for pair in sorted(self.processes.items()) if pair[0] not in self._drains]

    async def run(self) -> None:
        """Reconcile, until cancelled."""
        self._wake.set()  # an earlier run may have failed in between
        settled = True
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if settled else RETRY_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            surplus = len(self.processes) - len(self._drains) > self.desired + self._surge
            # Without a surplus nothing waits for the gateway's answer, least of all a start.
            servers = await self._servers() if surplus else {}
            replicas = {
                index: ReplicaSnapshot(
                    "draining" if index in self._drains else process.state,
                    process.started_at,
                    self._releases[index] == self.release,
                )
                for index, process in self.processes.items()
            }
            # One index above the maximum: otherwise a rollout at the maximum could replace no replica.
            max_index = self.max_replicas + self._surge
            load = {index: one.requests for index, one in servers.items()}
            start, drain = plan(replicas, self.desired, max_index, load, self._surge)
            turns = self._turns()
            for index in start[:turns]:
                self._start(index)
            for index in drain:
                self._begin_drain(index)
            settled = await self._set_traffic(servers or await self._servers())
            settled &= len(start) <= turns

    def _turns(self) -> int:
        """How many replicas may begin their start now; that of a rollout waits for no other."""
        since = time.time() - TURN_SECONDS
        starting = [
            one
            for one in self.processes.values()
            if one.state == "starting" and one.started_at > since
        ]
        return max(0, self.at_once + self._surge - len(starting))

    async def _set_traffic(self, servers: Mapping[int, Server]) -> bool:
        """Let the gateway send requests to our own replicas only. Returns whether that is done.

        A port is a replica's from when that is ready until its process ends; before and after, another
        program may answer there. In between the gateway's own checks decide.
        """
        try:
            for index, server in servers.items():
                process = None if index in self._drains else self.processes.get(index)
                if process is None or process.pid is None or process.ready_at is None:
                    if server.enabled:
                        await self.gateway.remove(index)
                elif process.state == "ready" and not server.enabled:
                    await self.gateway.enable(index)
                    seconds = round(time.time() - process.ready_at, 3)
                    process.start_seconds.setdefault("gateway", seconds)
        except RuntimeApiError:
            return False
        return bool(servers)

    async def _servers(self) -> Mapping[int, Server]:
        """The gateway's server of each replica, by its index; empty if they are not known now."""
        try:
            return await self.gateway.servers()
        except RuntimeApiError:
            return {}

    async def drain_all(self) -> None:
        """Stop every replica after its requests have finished. `run` must have been cancelled."""
        for index in self.processes.keys() - self._drains.keys():
            self._begin_drain(index)
        if self._drains:
            await asyncio.gather(*self._drains.values())

    def _start(self, index: int) -> None:
        process = self.create(index, self.release)
        self.processes[index], self._releases[index] = process, self.release
        changed = process.on_change

        def on_change() -> None:
            changed()
            self._wake.set()

        process.on_change = on_change
        process.start()

    def _begin_drain(self, index: int) -> None:
        process = self.processes[index]
        self._drains[index] = asyncio.create_task(
            keep_running(
                f"drain of {process.program.name}",
                lambda: self._drain(index, process),
                self.event_log.fault,
            )
        )

    async def _drain(self, index: int, process: ProcessSupervisor) -> None:
        if self.processes.get(index) is not process:  # what failed came after its removal
            return
        self.event_log.record("drain", "finishing its requests", component=process.program.name)
        await process.drain()
        # Before the signal: a program may answer health checks until it ends and lose what arrives then.
        drained = await self._gateway_drains(index)
        limit, waited = process.program.stop_seconds, 0.0
        if drained and not process.program.answers_first:
            waited = await self._finish_requests(index, limit)
        await process.stop(max(limit - waited, min(limit, END_SECONDS)))
        del self.processes[index], self._drains[index], self._releases[index]
        self.event_log.record("gone", "stopped", component=process.program.name)
        process.on_change()
        self._wake.set()

    async def _gateway_drains(self, index: int) -> bool:
        """Let the gateway send the replica no more requests. Returns whether it may run."""
        try:
            await self.gateway.remove(index)
        except RuntimeApiError as error:
            # If it does not run, as when the whole stack stops, it has no requests; else `run` removes it.
            return _may_run(error)
        await asyncio.sleep(IN_TRANSIT_SECONDS)
        return True

    async def _finish_requests(self, index: int, seconds: float) -> float:
        """Wait until a replica has no requests, for at most these seconds; returns how long that was.

        The signal comes after them: many servers (of Go, Node, llama.cpp) break off what they have.
        """
        began = time.monotonic()
        while (waited := time.monotonic() - began) < seconds:
            try:
                server = (await self.gateway.servers()).get(index)
                if server is None or not (server.requests or server.enabled):
                    return waited
            except RuntimeApiError as error:
                if not _may_run(error):
                    return waited  # it has stopped, and its requests with it
            await asyncio.sleep(IDLE_POLL_SECONDS)
        return waited


def _may_run(error: RuntimeApiError) -> bool:
    """Whether the gateway may run although it did not do as asked."""
    return isinstance(error, GatewayBusyError) or not isinstance(error, GatewayUnavailableError)
