"""KEDA's own operator asks the external scaler, and starts and removes the first replica."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.eventually import eventually
from support.harnesses.event_files import MemoryLog
from support.kubernetes.model_deployment import ModelDeployment
from support.kubernetes.processes import Processes
from support.kubernetes.programs import CACHE, program, skip_unless_built
from support.ports import free_ports
from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.keda.external_scaler import ExternalScaler
from tidegate.autoscaler.keda.server import external_scaler_server
from tidegate.autoscaler.types import Bounds

CRDS = CACHE / "keda" / "config" / "crd" / "bases"
# What it would read from its pod: each names the one of the test.
NAMESPACES = ("WATCH", "POD", "KEDA_CLUSTER_OBJECT")
WAIT_SECONDS = 60.0
COOLDOWN_SECONDS = 2
# So that errors begin soon after the last decision.
MAX_AGE_SECONDS = 3.0


@pytest.fixture
def keda(model: ModelDeployment, tmp_path: Path) -> Iterator[int]:
    """KEDA's operator for the namespace of the test; yields a free port for the external scaler."""
    skip_unless_built("keda-operator")
    kubectl = model.plane.kubectl()
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    certificates = tmp_path / "keda"
    certificates.mkdir()
    names = {"apiserver.crt": "tls.crt", "apiserver.key": "tls.key", "ca.crt": "ca.crt"}
    for source, target in names.items():
        shutil.copy(model.plane.pki / source, certificates / target)
    port = free_ports(4)
    processes = Processes(tmp_path / "logs")
    processes.start(
        "keda-operator",
        [
            "env",
            *(f"{name}_NAMESPACE={model.namespace}" for name in NAMESPACES),
            *(program("keda-operator"), f"--kubeconfig={model.plane.kubeconfig()}"),
            *(f"--cert-dir={certificates}", "--enable-cert-rotation=false"),
            *("--enable-webhook-patching=false", "--enable-apiservice-patching=false"),
            f"--metrics-bind-address=127.0.0.1:{port}",
            f"--health-probe-bind-address=127.0.0.1:{port + 1}",
            f"--metrics-service-bind-address=127.0.0.1:{port + 2}",
        ],
    )
    try:
        yield port + 3
    finally:
        model.kubectl("delete", "scaledobject", "--all", f"--timeout={WAIT_SECONDS:g}s")
        processes.stop("keda-operator", signal.SIGTERM)
        kubectl.run("delete", "-f", str(CRDS), "--wait=false")


@asynccontextmanager
async def deciding(decided: DecidedNumber, number: int) -> AsyncIterator[None]:
    """Decide this number at once and then each half second."""

    async def repeat() -> None:
        while True:
            decided.update(number)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()


async def test_it_goes_from_zero_and_to_zero_and_holds_on_errors(
    model: ModelDeployment, keda: int
) -> None:
    model.create(replicas=0)
    decided = DecidedNumber(Bounds(0, 9), MAX_AGE_SECONDS)
    log = MemoryLog("autoscaler").log
    scaler = ExternalScaler(decided, "model", model.namespace, log, lambda: False)
    trigger = {
        "type": "external-push",
        "metricType": "AverageValue",
        "metadata": {"scalerAddress": f"127.0.0.1:{keda}", "deployment": "model"},
    }
    async with external_scaler_server(scaler, "127.0.0.1", keda):
        model.plane.kubectl().apply(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {"name": "model"},
                "spec": {
                    "scaleTargetRef": {"name": "model"},
                    "minReplicaCount": 0,
                    "maxReplicaCount": 9,
                    "pollingInterval": 2,
                    "cooldownPeriod": COOLDOWN_SECONDS,
                    "fallback": {
                        "failureThreshold": 3,
                        "replicas": 1,
                        "behavior": "currentReplicasIfHigher",
                    },
                    "triggers": [trigger],
                },
            },
            namespace=model.namespace,
        )
        async with deciding(decided, 0):
            await asyncio.to_thread(
                eventually, lambda: "keda-hpa-model" in model.kubectl("get", "hpa"), "the HPA"
            )
            (hpa,) = model.plane.kubectl().items("hpa", "-n", model.namespace)
            (metric,) = hpa["spec"]["metrics"]
            assert metric["external"]["metric"]["name"] == "s0-tidegate-desired-replicas"
            assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1"}
        async with deciding(decided, 3):
            await asyncio.to_thread(eventually, lambda: model.replicas == 1, "the first replica")
        async with deciding(decided, 0):
            await asyncio.to_thread(eventually, lambda: model.replicas == 0, "no replica")
            # So a resizer that takes over later does not keep it as set by hand.
            assert model.replicas_managers == frozenset()
        async with deciding(decided, 2):
            await asyncio.to_thread(
                eventually, lambda: model.replicas == 1, "the first replica again"
            )

        # No more decisions: the answers become errors, KEDA counts them, and nothing leaves.
        def failing() -> bool:
            found = model.plane.kubectl().get("scaledobject", "model", "-n", model.namespace)
            health = found["status"].get("health", {}).values()
            return any(one.get("numberOfFailures", 0) > 3 + COOLDOWN_SECONDS for one in health)

        await asyncio.to_thread(eventually, failing, "KEDA counts the errors")
        assert model.replicas == 1
