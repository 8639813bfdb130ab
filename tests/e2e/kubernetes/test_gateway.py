"""The gateway on a real cluster, while no replica is up and while its pod is replaced."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import pytest

from support.eventually import eventually
from support.kubernetes.client import Kubectl
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import NAME, QUEUE_SECONDS, Release, Store, released
from support.scrape import scrape

# The requests have rows of the model.
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("artefact")]

REQUESTS: Final = 10
SECONDS: Final = 120.0
GATEWAY: Final = f"{NAME}-tidegate-gateway"
AUTOSCALER: Final = f"{NAME}-tidegate-autoscaler"
RESIZER: Final = f"{NAME}-tidegate-resizer"


@pytest.fixture(scope="module")
def release(cluster: Cluster, store: Store) -> Iterator[Release]:
    """The chart, scaled by its resizer, also to zero."""
    values = {"scaling": {"mode": "resizer"}, "settings": {"replicas": {"min": 0}}}
    with released(cluster, store, "gateway", values) as installed:
        yield installed


def status(release: Release) -> int:
    """The status of the response to one request, which waits for as long as it may."""
    try:
        return release.predict(seconds=QUEUE_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def queued(address: str) -> float:
    """The number of requests that wait in a gateway's pod."""
    return scrape(8405, "haproxy_backend_current_queue", host=address, proxy="model") or 0


def accepts(address: str) -> bool:
    """Whether a gateway's pod accepts connections of clients."""
    try:
        socket.create_connection((address, 8000), timeout=10).close()
    except OSError:
        return False
    return True


@contextmanager
def without(kubectl: Kubectl, deployment: str, namespace: str) -> Iterator[None]:
    """No pod of a Deployment runs in the block, and one after it."""
    found = kubectl.get("deployment", deployment, "-n", namespace)["spec"]["selector"]
    labels = ",".join(f"{name}={value}" for name, value in found["matchLabels"].items())
    change = ("scale", f"deployment/{deployment}", "-n", namespace)
    kubectl.run(*change, "--replicas=0")
    kubectl.run(
        *("wait", "--for=delete", "pod", "-l", labels, "-n", namespace, f"--timeout={SECONDS:g}s"),
        seconds=SECONDS + 10,
    )
    try:
        yield
    finally:
        kubectl.run(*change, "--replicas=1")
        kubectl.rollout(deployment, namespace=namespace)


def test_requests_that_wait_outlast_the_pods_of_the_gateway_in_which_they_wait(
    release: Release,
) -> None:
    release.wait_for_replicas(0, 0, seconds=SECONDS)
    eventually(lambda: not release.pods(), "the end of the last replica", seconds=SECONDS)
    waiting: list[Future[int]] = []
    ended: set[str] = set()
    with ThreadPoolExecutor(2 * REQUESTS) as pool:
        # Nothing starts a replica until all gateways that have requests are about to end.
        with without(release.kubectl, AUTOSCALER, release.namespace):
            for command in (
                ("rollout", "restart", f"deployment/{GATEWAY}"),
                ("delete", "--wait=false", "pod"),
            ):
                pods = release.pods("gateway")
                (name,) = pods.keys() - ended
                ended.add(name)
                waiting += [pool.submit(status, release) for _ in range(REQUESTS)]
                end(release, pods[name], command if command[0] == "rollout" else (*command, name))
        assert Counter(one.result() for one in waiting) == {200: 2 * REQUESTS}


def end(release: Release, address: str, command: tuple[str, ...]) -> None:
    """Wait until the requests are in the gateway's pod, and end it by a command of kubectl."""
    eventually(
        lambda: queued(address) == REQUESTS, f"{REQUESTS} requests in {address}", seconds=SECONDS
    )
    release.kubectl.run(*command, "-n", release.namespace)
    release.kubectl.rollout(GATEWAY, namespace=release.namespace)
    eventually(lambda: not accepts(address), f"SIGTERM in {address}", seconds=SECONDS)


def test_a_new_replica_is_used_before_dns_names_it(release: Release) -> None:
    kubectl, namespace = release.kubectl, release.namespace
    # Only this test sets the number of replicas.
    with without(kubectl, AUTOSCALER, namespace), without(kubectl, RESIZER, namespace):
        kubectl.run("scale", f"deployment/{release.model}", "--replicas=0", "-n", namespace)
        eventually(lambda: not release.pods(), "the end of the last replica", seconds=SECONDS)
        with without(kubectl, "coredns", "kube-system"):
            kubectl.run("scale", f"deployment/{release.model}", "--replicas=1", "-n", namespace)
            assert status(release) == 200
