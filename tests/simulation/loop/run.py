"""Runs a schedule, and shrinks one that fails."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from unittest import mock

from ..world.shrink import shrink as shortest
from . import gateway, programs
from .cluster_stack import ClusterChecks, ClusterStack
from .event_loop import BusyLoopError
from .faults import ClusterFaults, Faults, LocalFaults, admit
from .gateway import Gateway
from .invariants import DecisionChecks, LocalChecks
from .local_stack import LocalStack
from .network import PrometheusServer, ResizerServer
from .prometheus import Prometheus
from .schedule import FAULTS_END, Fault, Schedule
from .world import (
    SimulatedDatetime,
    SimulatedTime,
    Violated,
    World,
    exclusive_lock,
    lock_holder,
)

# A replica that crashed again and again is started after 30 s, is ready after 15, and is seen 15 s later.
SETTLE_SECONDS = 100.0
SETTLED_SECONDS = 6


@dataclass(frozen=True)
class Result:
    """What a run has shown: the invariant that does not hold, how, and the trace."""

    schedule: Schedule
    invariant: str
    problem: str
    trace: tuple[str, ...]


@contextmanager
def simulated() -> Iterator[None]:
    """The production code's clock, sockets and processes are those of the world that runs."""
    processes, pool = (
        "tidegate.stack.processes.process_supervisor",
        "tidegate.stack.replicas.replica_pool",
    )
    rollouts, folder = "tidegate.stack.rollout.rollout_controller", "tidegate.stack.data_folder"
    api = SimpleNamespace(
        timeout=asyncio.timeout, open_unix_connection=gateway.open_unix_connection
    )
    with ExitStack() as stack:
        for target, value in {
            f"{folder}.exclusive_lock": exclusive_lock,
            f"{folder}._pid": lock_holder,
            f"{folder}.os": SimpleNamespace(
                ftruncate=lambda *_: None, pwrite=lambda *_: None, getpid=lambda: 0
            ),
            f"{processes}.Child": programs.SimulatedChild,
            f"{processes}.time": SimulatedTime,
            f"{processes}.earlier_listener": programs.earlier_listener,
            f"{pool}.time": SimulatedTime,
            "tidegate.runtime.keep_running.time": SimulatedTime,
            "tidegate.stack.gateway.runtime_api.asyncio": api,
            f"{rollouts}.admit": admit,
            f"{rollouts}.prune_copies": lambda *_: None,
            f"{rollouts}.datetime": SimulatedDatetime,
        }.items():
            stack.enter_context(mock.patch(target, value))
        yield


def run(schedule: Schedule) -> Result:
    """Run a schedule; call it inside `simulated`."""
    state = random.getstate()
    # What production code draws itself, as the jitter of its waits, follows from the seed, too.
    random.seed(schedule.seed)
    world = World(schedule)
    try:
        world.loop.run_until_complete(_run(world))
    except Violated:
        pass
    except BusyLoopError as error:
        world.fail("no busy loop", str(error))
    finally:
        _end(world)
        random.setstate(state)
    invariant, problem = world.violation or ("", "")
    return Result(schedule, invariant, problem, tuple(world.trace))


async def _run(world: World) -> None:
    world.loop.set_exception_handler(
        lambda _, context: world.fail(
            "no unexpected error", f"{context['message']}: {context.get('exception')!r}"
        )
    )
    world.gateway = Gateway(world, _listener(world))
    prometheus = PrometheusServer(Prometheus(world), 15.0)
    decisions = DecisionChecks(world, prometheus)
    faults, checks = _stack(world, prometheus, decisions)
    for fault in world.schedule.faults:
        world.later(fault.at, partial(faults.begin, fault))
        world.later(fault.at + fault.seconds, partial(faults.end, fault))
    await asyncio.sleep(FAULTS_END if world.schedule.faults else 10.0)
    # Not in a row: a policy may go on changing its number.
    settled = 0
    for _ in range(int(SETTLE_SECONDS)):
        await asyncio.sleep(1.0)
        problem = checks.unsettled()
        settled += not problem
        if settled >= SETTLED_SECONDS:
            return
    world.fail("without faults it recovers", f"after {SETTLE_SECONDS:g} s {problem}")


def _stack(
    world: World, prometheus: PrometheusServer, decisions: DecisionChecks
) -> tuple[Faults, LocalChecks | ClusterChecks]:
    server = ResizerServer(world)
    if world.setup.backend == "kubernetes":
        cluster = ClusterStack(world, prometheus, server)
        return ClusterFaults(cluster), ClusterChecks(cluster, decisions)
    local = LocalStack(world, prometheus, server)
    checks = LocalChecks(local, decisions)
    local.boot()
    return LocalFaults(local), checks


def _listener(world: World) -> gateway.Listener:
    def listener(index: int) -> programs.Replica | None:
        found = world.listeners.get(programs.FIRST_PORT + index - 1)
        return found if isinstance(found, programs.Replica) else None

    return listener


def _end(world: World) -> None:
    """Cancel what is left, so that nothing of this world runs in the next."""
    world.over, world.loop.most_steps = True, math.inf
    world.checks.clear()
    world.loop.set_exception_handler(lambda *_: None)
    for _ in range(20):
        left = asyncio.all_tasks(world.loop)
        if not left:
            break
        for task in left:
            task.cancel()
        # A run that ended in the step of the violation has asked the loop to stop.
        with suppress(RuntimeError):
            world.loop.run_until_complete(_yield())
    world.close()


async def _yield() -> None:
    await asyncio.sleep(0)


def shrink(schedule: Schedule, invariant: str) -> Schedule:
    """The shortest schedule that still breaks the invariant: without any fault that it does not need."""

    def fails(faults: Sequence[Fault]) -> bool:
        return run(replace(schedule, faults=tuple(faults))).invariant == invariant

    return replace(schedule, faults=tuple(shortest(schedule.faults, fails)))


def kept(schedule: Schedule, numbers: Sequence[int]) -> Schedule:
    """The schedule with the faults of these numbers alone."""
    return replace(schedule, faults=tuple(schedule.faults[number] for number in numbers))
