"""Scale to zero and back on a real stack: requests wait for the start, and none is rejected."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.processes.running_stack import Answer, Stack, running

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]

BURST = 60
IDLE_SECONDS = 4


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    with running(
        tmp_path_factory.mktemp("zero"),
        artefact,
        replicas={"start": 0, "min": 0},
        autoscaler={"idle_seconds": IDLE_SECONDS, "tick_seconds": 1},
        device={"simulated": True},
    ) as started:
        yield started


def burst(stack: Stack, count: int) -> list[Answer]:
    """`count` concurrent requests."""
    lines = (ROOT / "artefacts/flights/samples.ndjson").read_bytes().splitlines()[:count]
    bodies = [json.dumps({"instances": [json.loads(line)]}).encode() for line in lines]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda body: stack.send("/predict", body), bodies))


def at_zero(stack: Stack) -> bool:
    status = stack.status()
    return (status["state"], status["desired"], status["replicas"]) == ("ready", 0, [])


def answered_events(stack: Stack) -> int:
    query = 'event.dataset:tidegate.request AND url.path:"/predict"'
    return stack.search(f"{query} AND http.response.status_code:200").total


def test_it_starts_without_a_replica_and_accepts_requests(stack: Stack) -> None:
    assert at_zero(stack)
    assert stack.send("/ready").status == 200
    # A readiness request does not start a replica.
    assert at_zero(stack)


def test_a_burst_at_zero_is_served_and_it_scales_back_to_zero(
    stack: Stack,
) -> None:
    answers = burst(stack, BURST)
    assert [answer.status for answer in answers] == [200] * BURST
    # In the first minute the signals do not change and may be frozen.
    eventually(lambda: at_zero(stack), "no replica is left", 300)
    eventually(lambda: answered_events(stack) == BURST, "an event for each answer")


def test_zero_replicas_raise_no_alert_and_log_no_problem(stack: Stack) -> None:
    assert at_zero(stack)
    firing = 'ALERTS{alertname=~"Gateway.*|Autoscaler.*|Replica.*",alertstate="firing"}'
    # A slow start has ticks without signals, of which the alert reports until two minutes after the last.
    eventually(lambda: stack.query(firing) == [], "no alert is firing")
    assert at_zero(stack)
    troubles = stack.run(
        "tidegate", "search", "service.node.name:autoscaler AND log.level:warn", "--json"
    ).stdout
    # Until Prometheus has scraped the gateway twice there is one, as at any start.
    assert [line for line in troubles.splitlines() if "slots_per_replica" in line] == []


def test_a_burst_at_zero_is_served_while_prometheus_is_stopped(stack: Stack) -> None:
    assert at_zero(stack)
    (prometheus,) = [one for one in stack.status()["components"] if one["id"] == "prometheus"]
    os.kill(prometheus["pid"], signal.SIGSTOP)
    try:
        assert [answer.status for answer in burst(stack, BURST)] == [200] * BURST
    finally:
        os.kill(prometheus["pid"], signal.SIGCONT)
    eventually(lambda: answered_events(stack) == 2 * BURST, "an event for each answer")
