"""Defects put into the production code by hand, each of which the simulation must find.

`FOUND_BY` has a seed that finds each; `python -m tests.simulation --world loop --defect NAME` looks for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest import mock

from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.live.signals import combine
from tidegate.autoscaler.types import Bounds, Policy, Signals
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ReplicaStatus, ResizeLimitedError, ResizerUnavailableError
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.runtime.locks import LockedError
from tidegate.stack.gateway.runtime_api import RuntimeApiError
from tidegate.stack.gateway.runtime_api import Server as GatewayServer
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool, ReplicaSnapshot, plan
from tidegate.stack.rollout.rolling_replacement import Rollout

from .world import SimulatedTime, exclusive_lock, world

POOL: Final = "tidegate.stack.replicas.replica_pool"
SUPERVISION: Final = "tidegate.stack.processes.process_supervisor"
LOOP: Final = "tidegate.autoscaler.live.loop"
FOLDER: Final = "tidegate.stack.data_folder"


def _zero_if_missing(*arguments: Any, **named: Any) -> Signals:
    signals: Signals = combine(*arguments, **named)
    names = ("arrival_rate", "arrival_rate_60s", "in_system", "busy", "queued", "age_seconds")
    values: dict[str, Any] = {name: getattr(signals, name) or 0.0 for name in names}
    slots = signals.slots_per_replica or 1
    return replace(signals, **values, slots_per_replica=slots, problem="")


def _one_more(self: Bounds, number: int) -> int:
    return max(self.min, min(self.max + 1, number))


async def _all_traffic(self: ReplicaPool, servers: Mapping[int, GatewayServer]) -> bool:
    try:
        for index, server in servers.items():
            process = None if index in self._drains else self.processes.get(index)
            if process is None and server.enabled:
                await self.gateway.remove(index)
            elif process is not None and not server.enabled:
                await self.gateway.enable(index)
    except RuntimeApiError:
        return False
    return bool(servers)


async def _errors_are_settled(self: ReplicaPool, servers: Mapping[int, GatewayServer]) -> bool:
    await SET_TRAFFIC(self, servers)
    return True


async def _no_removal(self: ReplicaPool, index: int) -> bool:
    del self, index
    return True


async def _no_wait(self: ReplicaPool, index: int, seconds: float) -> float:
    del self, index, seconds
    return 0.0


async def _error_is_no_gateway(self: ReplicaPool, index: int) -> bool:
    try:
        await self.gateway.remove(index)
    except Exception:  # noqa: BLE001 - the defect
        return False
    return True


def _all_but_the_last(self: ReplicaPool) -> list[tuple[int, ProcessSupervisor]]:
    return OUTDATED(self)[:-1]


async def _no_replica(self: Rollout) -> str:
    await asyncio.sleep(0.05)
    return ""


async def _free_of_charge(
    self: RateLimitedResizer, desired: int, slots: int | None = None
) -> ReplicaStatus:
    return await self.inner.resize(desired, slots)


def _by_the_wall_clock(self: RateLimitedResizer) -> None:
    now = SimulatedTime.time()
    gained = (now - self._refilled_at) * self._per_minute / 60
    self._tokens, self._refilled_at = min(self._burst, self._tokens + gained), now


def _only_at_ticks(*arguments: Any, **named: Any) -> None:
    if not named["signals"].between and named["signals"].desired == arguments[1].desired:
        record_decision(*arguments, **named)


def _rounded(*arguments: Any, **named: Any) -> None:
    record_decision(*arguments, **{**named, "now": float(round(named["now"], -1))})


async def _started_once(self: ProcessSupervisor) -> None:
    await self._run_once(self.clock())


async def _never_held(self: KubernetesResizer, snapshot: Any) -> None:
    self._held = False
    found = snapshot.replicas
    if self._desired is None:
        self._desired = min(max(found, self.bounds.min), self.bounds.max)
    if found != self._desired:
        await self.deployment.scale(self._desired)


async def _as_found(self: KubernetesResizer, snapshot: Any) -> None:
    self._desired = snapshot.replicas


async def _below_the_bounds(self: KubernetesResizer, snapshot: Any) -> None:
    if self._desired is None:
        self._desired = max(1, snapshot.replicas)
    if snapshot.replicas != self._desired:
        await self.deployment.scale(self._desired + 1)


def _only_pauses(policy: Policy, override: Override, bounds: Bounds) -> Policy:
    return apply_override(policy, override, bounds) if override.holds else policy


async def _no_way_back(self: Rollout, release: Release) -> str:
    return "" if release is self.before else await REPLACE_ALL(self, release)


def _for_good(self: ReplicaPool, count: int) -> None:
    SURGE(self, max(count, self._surge))


def _nobody(url: str, pid: int) -> str:
    del url, pid
    return ""


@contextmanager
def _no_lock(path: Any, seconds: float) -> Iterator[int]:
    del path, seconds
    yield 0


@contextmanager
def _lock_for_good(path: Any, seconds: float) -> Iterator[int]:
    if world().lock:
        raise LockedError(path)
    with exclusive_lock(path, seconds) as fd:
        yield fd


async def _one_token(
    self: RateLimitedResizer, desired: int, slots: int | None = None
) -> ReplicaStatus:
    before = (await self.inner.status()).desired
    self._refill()
    if before > desired and self._tokens < 1:
        raise ResizeLimitedError("", 1.0)
    self._tokens -= before > desired
    return await self.inner.resize(desired, slots)


def _one_less(self: Bounds, number: int) -> int:
    return max(0, self.min - 1, min(self.max, number)) if self.min > 1 else CLAMP(self, number)


def _after_the_decision(log: Any, decision: Any, **named: Any) -> None:
    record_decision(log, decision, **{**named, "state": decision.state})


async def _one_more_if_lost(
    self: ResizerClient, desired: int, slots: int | None = None
) -> ReplicaStatus:
    try:
        return await RESIZE(self, desired, slots)
    except ResizerUnavailableError:
        return await RESIZE(self, desired + 1, slots)


async def _never_killed(*_: Any) -> str:
    return ""


def _without_versions(
    replicas: Mapping[int, ReplicaSnapshot], *arguments: Any
) -> tuple[list[int], list[int]]:
    alike = {index: replace(one, up_to_date=True) for index, one in replicas.items()}
    start, drain = plan(alike, *arguments)
    return [*start], [*drain]


CLAMP: Final = Bounds.clamp
RESIZE: Final = ResizerClient.resize
SET_TRAFFIC: Final = ReplicaPool._set_traffic
OUTDATED: Final = ReplicaPool.outdated
SURGE: Final = ReplicaPool.surge
REPLACE_ALL: Final = Rollout._replace_all

DEFECTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "a missing metric counts as 0": {f"{LOOP}.combine": _zero_if_missing},
    "one replica over the maximum": {
        "tidegate.autoscaler.types.Bounds.clamp": _one_more,
        "tidegate.stack.replicas.local_resizer.check_bounds": lambda *_: None,
    },
    "requests before ready": {f"{POOL}.ReplicaPool._set_traffic": _all_traffic},
    "an error of the gateway counts as done": {
        f"{POOL}.ReplicaPool._set_traffic": _errors_are_settled
    },
    "a drain signals at once": {f"{POOL}.ReplicaPool._gateway_drains": _no_removal},
    "a drain does not wait": {f"{POOL}.ReplicaPool._finish_requests": _no_wait},
    "a gateway that breaks off counts as gone": {
        f"{POOL}.ReplicaPool._gateway_drains": _error_is_no_gateway
    },
    "the end of a gateway is not noticed": {f"{POOL}.ReplicaPool.wake": lambda _: None},
    "a rollout keeps an old replica": {f"{POOL}.ReplicaPool.outdated": _all_but_the_last},
    "a rollout stops before it starts": {
        "tidegate.stack.rollout.rolling_replacement.Rollout._add_replica": _no_replica
    },
    "a rollout that failed leaves its replicas": {
        "tidegate.stack.rollout.rolling_replacement.Rollout._replace_all": _no_way_back
    },
    "a rollout keeps one replica more": {f"{POOL}.ReplicaPool.surge": _for_good},
    "bounds by hand are ignored": {f"{LOOP}.apply_override": _only_pauses},
    "a pause is ignored": {f"{LOOP}.apply_override": lambda policy, *_: policy},
    "removals are free": {"tidegate.resizer.rate_limit.RateLimitedResizer.resize": _free_of_charge},
    "removals are limited by the wall clock": {
        "tidegate.resizer.rate_limit.RateLimitedResizer._refill": _by_the_wall_clock
    },
    "a change is not recorded": {f"{LOOP}.record_decision": _only_at_ticks},
    "the recorded time is rounded": {f"{LOOP}.record_decision": _rounded},
    "a crashed program is not started again": {
        f"{SUPERVISION}.ProcessSupervisor._run_with_restarts": _started_once
    },
    "another program at the port counts as ours": {f"{SUPERVISION}.earlier_listener": _nobody},
    "a program is asked without a wait": {f"{SUPERVISION}.READY_POLL_SECONDS": 0.0},
    "a zero by hand is corrected": {
        "tidegate.resizer.kubernetes.resizer.KubernetesResizer._correct": _never_held
    },
    "the resizer takes over any number": {
        "tidegate.resizer.kubernetes.resizer.KubernetesResizer._correct": _as_found
    },
    "one pod more than desired": {
        "tidegate.resizer.kubernetes.resizer.KubernetesResizer._correct": _below_the_bounds
    },
    "a recorded hold is not read after a restart": {
        "tidegate.resizer.kubernetes.objects.Deployment.replicas_managers": frozenset()
    },
    "a second stack is not refused": {f"{FOLDER}.exclusive_lock": _no_lock},
    "the lock outlives a killed stack": {f"{FOLDER}.exclusive_lock": _lock_for_good},
    "a removal of several costs as one": {
        "tidegate.resizer.rate_limit.RateLimitedResizer.resize": _one_token
    },
    "one replica below the minimum": {
        "tidegate.autoscaler.types.Bounds.clamp": _one_less,
        "tidegate.stack.replicas.local_resizer.check_bounds": lambda *_: None,
    },
    "the state after the decision is recorded": {f"{LOOP}.record_decision": _after_the_decision},
    "a lost answer adds a replica": {
        "tidegate.resizer.client.ResizerClient.resize": _one_more_if_lost
    },
    "a program that never gets ready is waited for": {
        f"{SUPERVISION}.ProcessSupervisor._kill_unready": _never_killed
    },
    "a rollout drains the newest replica": {f"{POOL}.plan": _without_versions},
}


# A seed that finds each, and the invariant that it breaks.
FOUND_BY: Final[Mapping[str, tuple[int, str]]] = {
    "a missing metric counts as 0": (88, "a lost metric removes nothing"),
    "one replica over the maximum": (81, "within the bounds"),
    "requests before ready": (102, "requests reach own replicas"),
    "an error of the gateway counts as done": (96, "without faults it recovers"),
    "a drain signals at once": (38, "no request after the drain began"),
    "a drain does not wait": (61, "no request is cut by a drain"),
    "a gateway that breaks off counts as gone": (475, "no request is cut by a drain"),
    "the end of a gateway is not noticed": (59, "without faults it recovers"),
    "a rollout keeps an old replica": (6, "a rollout ends with one version"),
    "a rollout stops before it starts": (10, "without faults it recovers"),
    "a rollout that failed leaves its replicas": (6, "a rollout ends with one version"),
    "a rollout keeps one replica more": (6, "without faults it recovers"),
    "bounds by hand are ignored": (40, "a pause holds the number"),
    "a pause is ignored": (34, "a pause holds the number"),
    "removals are free": (1, "removals keep the limit"),
    "removals are limited by the wall clock": (106, "removals keep the limit"),
    "a change is not recorded": (0, "what takes effect is recorded"),
    "the recorded time is rounded": (6, "decisions replay to the byte"),
    "a crashed program is not started again": (14, "without faults it recovers"),
    "another program at the port counts as ours": (102, "requests reach own replicas"),
    "a program is asked without a wait": (4, "no busy loop"),
    "a zero by hand is corrected": (27, "a zero set by hand stays"),
    "the resizer takes over any number": (13, "removals keep the limit"),
    "one pod more than desired": (0, "without faults it recovers"),
    "a recorded hold is not read after a restart": (27, "a zero set by hand stays"),
    "a second stack is not refused": (32, "never two leaders"),
    "the lock outlives a killed stack": (9, "without faults it recovers"),
    "a removal of several costs as one": (1, "removals keep the limit"),
    "one replica below the minimum": (40, "within the bounds"),
    "the state after the decision is recorded": (0, "decisions replay to the byte"),
    "a lost answer adds a replica": (20, "what takes effect is recorded"),
    "a program that never gets ready is waited for": (44, "without faults it recovers"),
    "a rollout drains the newest replica": (38, "without faults it recovers"),
}


@contextmanager
def defect(name: str) -> Iterator[None]:
    """The production code with this defect; without a name as it is."""
    with _patched([*DEFECTS[name].items()] if name else []):
        yield


@contextmanager
def _patched(left: list[tuple[str, Any]]) -> Iterator[None]:
    if not left:
        yield
        return
    with mock.patch(*left[0]), _patched(left[1:]):
        yield
