"""Scaling on a real cluster: pods follow the load, no request fails, and each answer is an event.

One release is installed, parts of it and of KEDA are taken away, and it is upgraded to the other way of
scaling.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.eventually import eventually
from support.kubernetes import keda
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import NAME, Release, Store, released
from support.scrape import scrape

# The load has rows of the model.
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("artefact")]

# One replica with two slots serves about 19 requests a second.
LOW, HIGH = 5, 40
STEP_SECONDS: Final = 10
STEPS = f'{{ kind = "steps", seconds = {STEP_SECONDS}, rates = [{LOW}, {HIGH}, {HIGH}, {LOW}] }}'
NEW_SIZE_SECONDS = 30.0
"""A new size follows a step within this time."""
# AutoscalerNotFollowed fires half a minute after replicas can have started.
START_SECONDS: Final = 30
ALERT_SECONDS: Final = 180.0


@pytest.fixture(scope="module")
def release(cluster: Cluster, store: Store) -> Iterator[Release]:
    """The chart, scaled by KEDA, also to zero. Elasticsearch and KEDA start while it is installed."""
    keda.start(cluster.kubectl())
    values = {
        # Between Tidegate's decision for none and KEDA's, the HPA has set one.
        "scaling": {"mode": "keda-external", "keda": {"cooldownSeconds": 20}},
        "settings": {"replicas": {"min": 0, "start_seconds": START_SECONDS}},
    }
    with released(cluster, store, "shop", values) as installed:
        yield installed


def follow(release: Release, folder: Path) -> None:
    """Send a load in steps: at most one pod becomes three or more, and at most one again."""
    # Idle, a release with a minimum of 0 has one only for a moment.
    release.wait_for_replicas(0, 1, seconds=120)
    before = answered(release)
    with release.load(folder, STEPS) as load:
        release.wait_for_replicas(3, 5, seconds=STEP_SECONDS + NEW_SIZE_SECONDS)
        summary = load.summary()
    assert (summary["answered"], summary["failed"]) == (summary["planned"], 0)
    release.wait_for_replicas(0, 1, seconds=150)
    everything = before + summary["answered"]
    eventually(lambda: answered(release) >= everything, "an event of every answer", seconds=60)
    # A replica that drains may refuse a request, which the gateway repeats on another one.
    found = release.store.requests(release.namespace)
    assert (found[200], set(found) - {200, 503}) == (everything, set()), found


def answered(release: Release) -> int:
    """How many answers have an event in Elasticsearch."""
    return release.store.requests(release.namespace).get(200, 0)


def from_zero(release: Release) -> None:
    """Without requests no pod runs; the next request waits for the first one."""
    before = answered(release)
    release.wait_for_replicas(0, 0, seconds=180)
    # A pod that is ending may still answer.
    eventually(lambda: not release.pods(), "the end of the last pod", seconds=180)
    assert release.predict() == 200
    # The gateway uses a pod before the cluster calls it ready.
    assert release.replicas()["running"] >= 1
    eventually(lambda: answered(release) == before + 1, "the event of this request", seconds=60)


def test_tidegate_decides_and_keda_acts_also_from_zero(release: Release, tmp_path: Path) -> None:
    keda.wait_until_served(release.kubectl)
    from_zero(release)
    follow(release, tmp_path)


def test_missing_parts_raise_their_alerts(release: Release) -> None:
    """KEDA's operator and the gateway at once, as each takes a minute."""
    operator = (keda.DEPLOYMENTS[0], keda.NAMESPACE)
    gateway = (f"{NAME}-tidegate-gateway", release.namespace)
    try:
        for deployment, namespace in (operator, gateway):
            scale(release, deployment, namespace, 0)
        pods = ("pods", "-n", keda.NAMESPACE, "-l", f"app={keda.DEPLOYMENTS[0]}")
        eventually(lambda: not release.kubectl.items(*pods), "the operator's end", seconds=120)
        autoscaler(release, "pause", "--min", "3")
        expected = {"GatewayDown", "AutoscalerNotFollowed"}
        eventually(lambda: expected <= release.alerts(), f"{expected}", seconds=ALERT_SECONDS)
        assert not {"AutoscalerAtMax", "AutoscalerDown", "CollectorDown"} & release.alerts()
    finally:
        autoscaler(release, "resume")
        for deployment, namespace in (operator, gateway):
            scale(release, deployment, namespace, 1)


def test_a_change_from_keda_to_the_resizer_and_a_minimum_of_one_ends_a_zero(
    release: Release,
) -> None:
    release.wait_for_replicas(0, 0, seconds=180)
    release.install({"scaling": {"mode": "resizer"}})
    release.wait_for_replicas(1, 1, seconds=NEW_SIZE_SECONDS)


def test_tidegate_decides_and_its_resizer_acts(release: Release, tmp_path: Path) -> None:
    follow(release, tmp_path)


def test_a_replaced_token_is_used_by_both_ends(release: Release) -> None:
    kubectl, where = release.kubectl, ("-n", release.namespace)
    token = base64.b64encode(secrets.token_hex(16).encode()).decode()
    kubectl.run(
        *("patch", "secret", f"{NAME}-tidegate-secrets", *where),
        *("-p", json.dumps({"data": {"resizer_token": token}})),
    )
    # Its new pod has the new one alone, and the resizer still the one before.
    kubectl.run("rollout", "restart", f"deployment/{NAME}-tidegate-autoscaler", *where)
    kubectl.rollout(f"{NAME}-tidegate-autoscaler", namespace=release.namespace)
    # The kubelet looks at a pod's Secrets once a minute, or when the pod changes.
    chosen = ("--selector", "app.kubernetes.io/component=resizer")
    kubectl.run("annotate", "pods", *chosen, *where, "tests/changed=yes")
    (address,) = release.pods("autoscaler").values()
    # Whether the resizer answered in the last tick.
    name = "tidegate_autoscaler_resizer_up"
    eventually(lambda: scrape(9102, name, host=address) == 1, "its answer", seconds=120)


def scale(release: Release, deployment: str, namespace: str, replicas: int) -> None:
    release.kubectl.run(
        "scale", f"deployment/{deployment}", f"--replicas={replicas}", "-n", namespace
    )


def autoscaler(release: Release, *command: str) -> str:
    """Run a command of Tidegate in the autoscaler's pod."""
    deployment = f"deployment/{NAME}-tidegate-autoscaler"
    words = ("exec", deployment, "-c", "autoscaler", "-n", release.namespace, "--", "tidegate")
    return release.kubectl.run(*words, *command)
