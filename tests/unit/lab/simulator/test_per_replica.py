"""Replicas with a queue each, and start-up times that vary."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tidegate.lab.simulator.comparison import TraceSpec, run_one
from tidegate.lab.simulator.replicas import PerReplicaService, simulated_service
from tidegate.lab.simulator.score import score
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.workload import Workload

FOREVER = math.inf


def service(*requests: tuple[float, float], start: int = 2) -> PerReplicaService:
    arrivals, services = zip(*requests, strict=True)
    system = System(slots=1, startup_seconds=10.0, dispatch="round-robin")
    made = simulated_service(system, Workload(np.array(arrivals), np.array(services)), seed=0)
    assert isinstance(made, PerReplicaService)
    made.start_ready(start)
    return made


def test_in_turn_a_request_waits_although_another_replica_is_idle() -> None:
    one = service((0, 9), (1, 1), (2, 1), (3, 1))
    one.serve(FOREVER)
    assert one.started == [0, 1, 9, 3]


def test_a_request_that_waits_at_a_replica_stays_there_when_another_becomes_ready() -> None:
    one = service((0, 30), (1, 30), start=1)
    one.serve(2.0)
    one.resize(2, now=2.0)
    one.make_ready(12.0)
    one.serve(FOREVER)
    assert one.started == [0, 30]


def test_the_busiest_replica_is_measured_where_each_has_a_queue() -> None:
    spec = TraceSpec("per-replica-queues")
    run = run_one("static:replicas=6", spec, System(), 0)
    busiest = [tick.signals.busiest for tick in run.ticks if tick.at > 60]
    assert max(number for number in busiest if number is not None) == 4
    own = spec.system(System())
    central = replace(spec, given=(("dispatch", "queue"),))
    of_one_queue = score(run_one("static:replicas=6", central, System(), 0), own.slo_seconds)
    assert score(run, own.slo_seconds).over_slo_ratio > of_one_queue.over_slo_ratio


def test_a_replica_that_leaves_finishes_the_requests_that_wait_at_it() -> None:
    one = service((0, 5), (1, 5), (2, 5), (3, 5))
    one.serve(4.0)
    one.resize(1, now=4.0)
    assert one.replica_seconds(100.0) == pytest.approx(100 + 10)


def test_start_up_times_vary_by_the_seed() -> None:
    system = System(startup_seconds=30.0, startup_cv=0.5)
    workload = Workload(np.zeros(1), np.ones(1))
    readies = []
    for seed in (0, 0, 1):
        one = simulated_service(system, workload, seed)
        one.resize(200, now=0.0)
        readies.append([replica.ready_at for replica in one.replicas])
    assert readies[0] == readies[1] != readies[2]
    assert np.mean(readies[0]) == pytest.approx(30, rel=0.1)
    assert np.std(readies[0]) == pytest.approx(15, rel=0.3)
