"""Scaling on a real cluster: pods follow the load, no request fails, and each answer is an event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.kubernetes import keda
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import STORE_NAMESPACE, Release, Store, released, start_store
from support.kubernetes.waiting import until

# The load has rows of the model.
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("artefact")]

# One replica with two slots serves about 19 requests a second.
LOW, HIGH = 5, 40
STEPS = f'{{ kind = "steps", seconds = 15, rates = [{LOW}, {HIGH}, {HIGH}, {LOW}] }}'
NEW_SIZE_SECONDS = 30.0
"""A new size follows a step within this time; the step itself comes 15 s after the load begins."""


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Store:
    """An Elasticsearch for all releases."""
    started = start_store(cluster)
    cluster.kubectl().rollout("elasticsearch", namespace=STORE_NAMESPACE, seconds=300)
    return started


@pytest.fixture(scope="module")
def with_keda(cluster: Cluster) -> None:
    """KEDA, installed before the release whose chart looks for it."""
    keda.install(cluster.kubectl())


def follow(release: Release, folder: Path) -> None:
    """Send a load in steps: one pod becomes three or more, and one again."""
    release.wait_for_replicas(1, 1, seconds=120)
    before = answered(release)
    with release.load(folder, STEPS) as load:
        release.wait_for_replicas(2, 5, seconds=15 + NEW_SIZE_SECONDS)
        release.wait_for_replicas(3, 5, seconds=60)
        summary = load.wait()
    assert (summary["answered"], summary["failed"]) == (summary["planned"], 0)
    release.wait_for_replicas(1, 1, seconds=150)
    everything = before + summary["answered"]
    until(lambda: answered(release) >= everything, "an event of every answer", seconds=60)
    # A replica that drains may refuse a request, which the gateway repeats on another one.
    found = release.store.requests(release.namespace)
    assert (found[200], set(found) - {200, 503}) == (everything, set()), found


def answered(release: Release) -> int:
    """How many answers have an event in Elasticsearch."""
    return release.store.requests(release.namespace).get(200, 0)


def from_zero(release: Release) -> None:
    """Without requests no pod runs; the next request waits for the first one."""
    # KEDA itself waits two minutes before.
    release.wait_for_replicas(0, 0, seconds=300)
    # A pod that is ending may still answer.
    until(lambda: not release.pods(), "the end of the last pod", seconds=180)
    assert release.predict() == 200
    # The gateway uses a pod before the cluster calls it ready.
    assert release.replicas()["running"] >= 1


def test_tidegate_decides_and_its_resizer_acts(
    cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    with released(cluster, store, "resizer", {"scaling": {"mode": "resizer"}}) as release:
        follow(release, tmp_path)


@pytest.mark.usefixtures("with_keda")
def test_tidegate_decides_and_keda_acts_also_from_zero(
    cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"scaling": {"mode": "keda-external"}}
    with released(cluster, store, "external", values) as release:
        follow(release, tmp_path)
        release.install(values | {"settings": {"replicas": {"min": 0}}})
        from_zero(release)
