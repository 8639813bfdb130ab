"""A simulated service, its Prometheus, and its autoscaler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from support.doubles.aiohttp_server import answering
from support.eventually import eventually_async
from support.processes.autoscaler_process import Plant, Prometheus, Sidecar, started
from tidegate.resizer.server import make_app, serve_unix


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory,
    unused_tcp_port_factory: Callable[[], int],
    prometheus_program: str,
) -> Iterator[Prometheus]:
    one = Prometheus(
        prometheus_program,
        tmp_path_factory.mktemp("prometheus"),
        unused_tcp_port_factory(),
        unused_tcp_port_factory(),
    )
    one.start()
    yield one
    one.stop()


@pytest.fixture
async def plant(prometheus: Prometheus) -> AsyncIterator[Plant]:
    one, series = Plant(), "service:requests_in_system:now"
    async with answering(one.metrics, prometheus.target):
        # Wait until the values of the previous test are gone from Prometheus.
        await eventually_async(lambda: prometheus.says(series, one.in_system))
        yield one


@pytest.fixture
async def sidecar(
    plant: Plant, prometheus: Prometheus, tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[Sidecar]:
    """The autoscaler of that service, after its first signals."""
    path = tmp_path / "control.sock"
    async with (
        serve_unix(make_app(plant), path),
        started(tmp_path, f"unix:{path}", prometheus.url, unused_tcp_port) as one,
    ):
        await one.sees()
        yield one
