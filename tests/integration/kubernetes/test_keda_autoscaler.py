"""The autoscaler's process as KEDA's external scaler: a real API server, Prometheus and gRPC client.

The test does what KEDA and the HPA do with the answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from aiohttp import web

from support.eventually import eventually_async
from support.harnesses.keda_client import KedaClient, keda_client
from support.kubernetes.model_deployment import READER_RULES, ModelDeployment
from support.ports import free_port, free_ports
from support.processes.autoscaler_process import Plant, Prometheus, Sidecar, started
from tidegate.autoscaler.live.override import Override, OverrideFile
from tidegate.lab.replay.replay import replay
from tidegate.runtime.metrics_text import sample_value

METRIC = "tidegate_autoscaler_desired_replicas"


@dataclass
class Scene:
    """The autoscaler, its Deployment, the service's metrics and KEDA's connection."""

    sidecar: Sidecar
    model: ModelDeployment
    plant: Plant
    keda: KedaClient
    gateway: Gateway
    settings: dict[str, str]

    async def metric(self) -> float | None:
        return sample_value(await self.sidecar.metrics(), METRIC)

    async def answer(self) -> float:
        """The number that KEDA gets; on a busy machine ticks may hang for long enough to be an error."""
        found: list[float] = []

        async def answered() -> bool:
            with suppress(grpc.aio.AioRpcError):
                found.append(await self.keda.metrics())
            return bool(found)

        await eventually_async(answered)
        return found[0]

    async def answers(self, number: int) -> None:
        async def answered() -> bool:
            return await self.answer() == number

        await eventually_async(answered)

    async def act(self) -> int:
        """Do what KEDA and the HPA do with the present answer."""
        number = round(await self.answer())
        await asyncio.to_thread(
            self.model.kubectl, "scale", "deployment/model", f"--replicas={number}"
        )
        return number


@dataclass
class Gateway:
    """The gateway's exporter, of which the autoscaler reads the queue at zero replicas."""

    queued: float = 0.0

    async def metrics(self, request: web.Request) -> web.Response:
        del request
        return web.Response(text=f'haproxy_backend_current_queue{{proxy="model"}} {self.queued}\n')


@pytest.fixture(scope="module")
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, prometheus_program: str
) -> Iterator[Prometheus]:
    first = free_ports(2)
    one = Prometheus(prometheus_program, tmp_path_factory.mktemp("prometheus"), first, first + 1)
    one.start()
    yield one
    one.stop()


@pytest.fixture
async def scene(
    model: ModelDeployment, prometheus: Prometheus, tmp_path: Path
) -> AsyncIterator[Scene]:
    model.create(replicas=3)
    for pod in model.wait_for_pods(3):
        model.make_ready(pod)
    plant, gateway = Plant(in_system=4.2), Gateway()
    app = web.Application()
    app.router.add_get("/metrics", plant.metrics)
    app.router.add_get("/gateway", gateway.metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", prometheus.target).start()
    await eventually_async(lambda: prometheus.says("service:requests_in_system:now", 4.2))
    port = free_port()
    settings = {
        "TIDEGATE_AUTOSCALER__SCALER": "keda",
        "TIDEGATE_AUTOSCALER__TICK_SECONDS": "1",
        "TIDEGATE_AUTOSCALER__EXTERNAL_SCALER_PORT": str(port),
        "TIDEGATE_AUTOSCALER__GATEWAY_METRICS_URL": f"http://127.0.0.1:{prometheus.target}/gateway",
        "TIDEGATE_AUTOSCALER__IDLE_SECONDS": "2",
        "TIDEGATE_RESIZER__DEPLOYMENT": "model",
        "TIDEGATE_RESIZER__KUBERNETES_NAMESPACE": model.namespace,
        "TIDEGATE_REPLICAS__MIN": "0",
        "TIDEGATE_REPLICAS__START": "0",
        "KUBECONFIG": str(model.account(READER_RULES)),
    }
    async with (
        started(tmp_path, "", prometheus.url, free_port(), **settings) as sidecar,
        keda_client(port, model.namespace) as keda,
    ):
        yield Scene(sidecar, model, plant, keda, gateway, settings)
    await runner.cleanup()


async def test_keda_gets_the_decided_number_by_grpc_and_by_the_metrics(scene: Scene) -> None:
    await scene.answers(3)
    assert await scene.metric() == 3
    scene.plant.in_system = 8.4
    await scene.answers(6)
    assert await scene.metric() == 6
    assert await scene.keda.is_active()
    assert await scene.act() == 6
    await eventually_async(lambda: scene.sidecar.last()["signals"]["running"] == 6)
    assert scene.sidecar.last()["signals"]["desired"] == 6


async def test_it_holds_the_number_without_its_right_to_read_the_deployment(scene: Scene) -> None:
    await scene.answers(3)
    account = next(scene.model.folder.glob("account-*.kubeconfig"))
    scene.model.set_rules(account, [])

    def problem() -> str:
        return str(scene.sidecar.last()["signals"]["problem"])

    await eventually_async(lambda: "cannot get resource" in problem())
    await scene.sidecar.ticks(2)
    assert await scene.answer() == 3
    scene.model.set_rules(account, READER_RULES)
    await eventually_async(lambda: problem() == "")


async def test_it_scales_to_zero_and_pushes_the_first_queued_request(scene: Scene) -> None:
    await scene.answers(3)
    stream = scene.keda.stream()
    assert (await anext(stream)).result is True
    scene.plant.in_system, scene.plant.requests, scene.plant.arrival_rate = 0.0, 0, 0.0
    async with asyncio.timeout(60):
        assert (await anext(stream)).result is False
    assert await scene.metric() == 0
    assert not await scene.keda.is_active()
    assert await scene.act() == 0
    scene.model.wait_for_pods(0)
    scene.gateway.queued = 2.0
    async with asyncio.timeout(60):
        assert (await anext(stream)).result is True
    rise = scene.sidecar.last()
    assert (rise["previous"], rise["desired"], rise["signals"]["waiting"]) == (0, 1, 2.0)
    assert await scene.act() == 1
    (pod,) = scene.model.wait_for_pods(1)
    scene.model.make_ready(pod)
    await eventually_async(lambda: scene.sidecar.last()["signals"]["ready"] == 1)
    assert await scene.answer() == 1


async def test_a_pause_holds_what_keda_gets_and_a_restart_begins_at_the_present_number(
    scene: Scene, prometheus: Prometheus
) -> None:
    await scene.answers(3)
    control = scene.sidecar.folder / "data" / "autoscaler" / "control.json"
    OverrideFile(control).write(Override(time.time() + 600))
    await eventually_async(lambda: scene.sidecar.last()["reason"] == "paused")
    scene.plant.in_system = 8.4
    await eventually_async(lambda: prometheus.says("service:requests_in_system:now", 8.4))
    await scene.sidecar.ticks(3)
    assert await scene.answer() == 3
    scene.model.kubectl("scale", "deployment/model", "--replicas=5")
    assert await scene.sidecar.stop() == 0
    decisions = scene.sidecar.events("decision")
    assert all(replay(one).explanation == one["message"] for one in decisions)
    async with started(
        scene.sidecar.folder, "", prometheus.url, free_port(), **scene.settings
    ) as again:
        await scene.answers(5)
        assert again.last()["reason"] == "paused"
