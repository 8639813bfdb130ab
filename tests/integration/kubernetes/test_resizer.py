"""The resizer on a real API server with the rights of the chart's Role."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from support.harnesses.event_files import MemoryLog
from support.harnesses.resizer_contract import CHECKS, MAX, MIN, ContractCase
from support.kubernetes.model_deployment import RESIZER_RULES, ModelDeployment
from support.ports import free_port
from tidegate.resizer.kubernetes.api import ClusterDeployment, ClusterError, open_deployment
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.settings import Replicas


class Scene:
    """A resizer of the Deployment, and what it logged."""

    def __init__(self, deployment: ClusterDeployment, bounds: Replicas) -> None:
        self.events = MemoryLog("resizer", dataset="resizer")
        self.resizer = KubernetesResizer(deployment, bounds, self.events.log, time.monotonic)

    def logged(self, action: str = "") -> list[str]:
        events = self.events.events()
        return [one["message"] for one in events if action in ("", one["event"]["action"])]


@asynccontextmanager
async def scene(
    model: ModelDeployment,
    monkeypatch: pytest.MonkeyPatch,
    *,
    account: Path | None = None,
    bounds: Replicas = Replicas(min=MIN, max=MAX),
) -> AsyncIterator[Scene]:
    use(monkeypatch, account or model.account(RESIZER_RULES))
    async with open_deployment("model", model.namespace, time.monotonic) as deployment:
        yield Scene(deployment, bounds)


def use(monkeypatch: pytest.MonkeyPatch, kubeconfig: Path) -> None:
    """Use this file as KUBECONFIG, which the client reads when it is imported."""
    monkeypatch.setattr(
        "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
    )


@pytest.mark.parametrize("check", CHECKS)
async def test_it_keeps_the_contract_of_resizers(
    model: ModelDeployment,
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[[ContractCase], Awaitable[None]],
) -> None:
    model.create()
    model.wait_for_pods(1)
    async with scene(model, monkeypatch) as one:
        await one.resizer.tick()

        async def settle() -> None:
            async def settled() -> bool:
                # Before the tick: on a busy machine kubectl takes longer than a state is valid.
                replicas = model.replicas
                await one.resizer.tick()
                status = await one.resizer.status()
                return status.running == status.desired == replicas

            await eventually_async(settled, "the pods that were requested")

        await check(ContractCase(one.resizer, settle))
        assert one.logged("cluster") == []


async def test_pods_are_replicas_in_their_states(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.create(replicas=4)
    pods = model.wait_for_pods(4)
    model.make_ready(pods[0])
    model.report(
        pods[1],
        {
            "containerStatuses": [
                {
                    "name": "model",
                    "image": "model",
                    "imageID": "",
                    "ready": False,
                    "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                }
            ]
        },
    )
    model.kubectl(
        "patch", "pod", pods[2], "--type=merge", "-p", '{"metadata":{"finalizers":["tests/hold"]}}'
    )
    model.kubectl("delete", "pod", pods[2], "--wait=false", "--force", "--grace-period=0")
    async with scene(model, monkeypatch) as one:
        await one.resizer.tick()
        status = await one.resizer.status()
        states = {replica.id: replica.state for replica in status.replicas}
        assert [states[name] for name in pods] == ["ready", "failed", "draining", "starting"]
        assert (status.ready, status.desired) == (1, 4)
        ready = next(replica for replica in status.replicas if replica.id == pods[0])
        assert (ready.started_at < time.time(), ready.ready_at) == (True, 4_070_908_800.0)
        assert status.startups == [], "no start takes as long"
        assert one.logged("failing") == [
            f"pod {pods[1]} has failed: CrashLoopBackOff (back-off 40s)"
        ]
    model.kubectl("patch", "pod", pods[2], "--type=merge", "-p", '{"metadata":{"finalizers":[]}}')


@pytest.mark.parametrize(
    ("how", "held"),
    [
        # As in `replicas.min = 0`, and as an HPA and KEDA do.
        ("this resizer", False),
        (("patch", "--subresource=scale"), False),
        # While the resizer runs, as `kubectl scale`, which leaves no name either.
        (("scale", "--replicas=0"), True),
        # While it does not: a 0 that is part of the Deployment has a name.
        (("patch",), True),
        (("apply", "--server-side", "--force-conflicts"), True),
    ],
)
async def test_a_zero_stays_over_a_restart_only_if_a_person_set_it(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch, how: Any, held: bool
) -> None:
    model.create(replicas=2)
    async with scene(model, monkeypatch, bounds=Replicas(min=0, max=MAX)) as one:
        await one.resizer.tick()
        if how == "this resizer":
            await one.resizer.resize(0)
        elif how[0] == "scale":
            await one.resizer.resize(1)
            await one.resizer.tick()
            model.kubectl(*how, "deployment/model")
        await one.resizer.tick()
    if how[0] == "patch":
        model.kubectl(*how, "deployment/model", "--type=merge", "-p", '{"spec":{"replicas":0}}')
    elif how[0] == "apply":
        model.create(replicas=0)
    assert model.replicas == 0
    async with scene(model, monkeypatch) as one:
        await one.resizer.tick()
        await one.resizer.resize(3)
        await one.resizer.tick()
        assert (model.replicas, len(one.logged("held"))) == ((0, 1) if held else (3, 0))


async def test_a_missing_deployment_and_right_are_logged_once_and_waited_for(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = model.account([])
    use(monkeypatch, account)
    async with open_deployment("model", model.namespace, time.monotonic) as deployment:
        one = Scene(deployment, Replicas(min=MIN, max=MAX))
        for _ in range(3):
            await one.resizer.tick()
        with pytest.raises(ClusterError, match="does not allow it"):
            await one.resizer.status()
        (forbidden,) = one.logged("cluster")
        assert 'cannot get resource "deployments"' in forbidden
        model.set_rules(account, RESIZER_RULES)

        async def missing() -> bool:
            await one.resizer.tick()
            return len(one.logged("cluster")) == 2

        await eventually_async(missing, "the new rights are in force")
        assert one.logged("cluster")[1] == (
            f"there is no Deployment model in namespace {model.namespace}: create it, or correct"
            " resizer.deployment or resizer.kubernetes_namespace"
        )
        model.create(replicas=2)
        await one.resizer.tick()
        assert (await one.resizer.status()).desired == 2
        assert one.logged("cluster")[2:] == ["the API server grants the requests again"]


async def test_a_paused_deployment_is_reported_and_still_scaled(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.create()
    model.kubectl("rollout", "pause", "deployment/model")
    async with scene(model, monkeypatch) as one:
        for _ in range(2):
            await one.resizer.tick()
        (message,) = one.logged("paused")
        assert "kubectl rollout resume" in message
        await one.resizer.resize(2)
        await one.resizer.tick()
        model.wait_for_pods(2)
        model.kubectl("rollout", "resume", "deployment/model")
        await one.resizer.tick()
        assert one.logged("paused")[1:] == ["paused: resolved"]


async def test_a_quota_that_refuses_pods_is_reported(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.create()
    model.wait_for_pods(1)
    model.kubectl("create", "quota", "few", "--hard=pods=1")
    async with scene(model, monkeypatch) as one:
        await one.resizer.tick()
        await one.resizer.resize(3)

        async def reported() -> list[str]:
            await one.resizer.tick()
            return one.logged("refused")

        await eventually_async(reported, "the refused pods")
        assert "exceeded quota: few" in one.logged("refused")[0]
        status = await one.resizer.status()
        assert (status.desired, status.running) == (3, 1)


async def test_an_api_server_that_hangs_is_logged_once_and_found_again(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.create(replicas=2)
    use(monkeypatch, model.account(RESIZER_RULES))
    async with open_deployment("model", model.namespace, time.monotonic, 1.0) as deployment:
        one = Scene(deployment, Replicas(min=MIN, max=MAX))
        await one.resizer.tick()
        with model.plane.hanging():
            for _ in range(2):
                await one.resizer.tick()
            # The last state is not old yet.
            assert (await one.resizer.status()).desired == 2
            await one.resizer.resize(3)
        await one.resizer.tick()
        assert one.logged("cluster") == [
            f"the API server at {model.plane.url} does not answer within 1 s",
            "the API server grants the requests again",
        ]
        assert model.replicas == 3


async def test_an_api_server_that_is_away_is_named(
    model: ModelDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, port = model.account(RESIZER_RULES), free_port()
    account.write_text(account.read_text().replace(f":{model.plane.port}", f":{port}"))
    async with scene(model, monkeypatch, account=account) as one:
        await one.resizer.tick()
        assert one.logged("cluster") == [
            f"the API server at https://127.0.0.1:{port} cannot be reached: connection refused"
        ]
