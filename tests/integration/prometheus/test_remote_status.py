"""The status of a stack without a supervisor, from a real Prometheus that scrapes other programs, too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from support.eventually import eventually
from support.processes.prometheus_of_samples import prometheus_of_samples
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import load
from tidegate.stack.remote_status import read_status
from tidegate.stack.supervisor.status import StackStatus

pytestmark = pytest.mark.integration


async def read(url: str) -> StackStatus | None:
    async with aiohttp.ClientSession() as session:
        with suppress(HttpError):
            status = await read_status(Prometheus(session, url), load())
            return status if status.components else None
    return None


def test_the_targets_of_other_programs_are_left_out(
    prometheus_program: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    now = int(time.time())
    targets = (
        *(("model", "10.0.0.1:8000", 1), ("gateway", "10.0.0.2:8405", 0)),
        ("model", "10.0.0.5:8000", 1),
        *(("node-exporter", "10.0.0.3:9100", 0), ("modeling", "10.0.0.4:80", 1)),
    )
    samples = [
        "# TYPE up gauge",
        *(f'up{{job="{job}",instance="{at}"}} {up} {now}' for job, at, up in targets),
        "# TYPE process_start_time_seconds gauge",
        f'process_start_time_seconds{{job="model",instance="10.0.0.1:8000"}} 5 {now}',
        "# TYPE ml_prediction_reference_samples gauge",
        *(
            f'ml_prediction_reference_samples{{job="model",instance="{at}",version="{version}"}} 1 {now}'
            for at, version in (("10.0.0.1:8000", "a1"), ("10.0.0.5:8000", "b2"))
        ),
        "# TYPE tidegate_replicas gauge",
        f'tidegate_replicas{{job="autoscaler",state="desired"}} 3 {now}',
        f'tidegate_replicas{{job="autoscaler",state="running"}} 2 {now}',
        "# EOF\n",
    ]
    port = unused_tcp_port_factory()
    with prometheus_of_samples(prometheus_program, tmp_path, port, "\n".join(samples)) as url:
        status = eventually(lambda: asyncio.run(read(url)), "the samples can be read")
    assert (status.desired, status.running, status.ready) == (3, 2, 2)
    # Of one model with two releases somebody has to know.
    assert status.source.startswith("replicas serve the models a1, b2: ")
    assert [(one.id, one.state) for one in status.components] == [("gateway", "failed")]
    started = [("10.0.0.1:8000", 5.0), ("10.0.0.5:8000", 0.0)]
    assert [(one.id, one.started_at) for one in status.replicas] == started
