"""Scaling on a real cluster: pods follow the load, no request fails, and each answer is an event.

One release is installed, and then upgraded to the other way of scaling.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.kubernetes import keda
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import Release, Store, released
from support.kubernetes.waiting import until

# The load has rows of the model.
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("artefact")]

# One replica with two slots serves about 19 requests a second.
LOW, HIGH = 5, 40
STEP_SECONDS: Final = 10
STEPS = f'{{ kind = "steps", seconds = {STEP_SECONDS}, rates = [{LOW}, {HIGH}, {HIGH}, {LOW}] }}'
NEW_SIZE_SECONDS = 30.0
"""A new size follows a step within this time."""


@pytest.fixture(scope="module")
def release(cluster: Cluster, store: Store) -> Iterator[Release]:
    """The chart, scaled by its resizer. Elasticsearch and KEDA start while it is installed."""
    keda.start(cluster.kubectl())
    with released(cluster, store, "shop", {"scaling": {"mode": "resizer"}}) as installed:
        yield installed


def follow(release: Release, folder: Path) -> None:
    """Send a load in steps: one pod becomes three or more, and one again."""
    release.wait_for_replicas(1, 1, seconds=120)
    before = answered(release)
    with release.load(folder, STEPS) as load:
        release.wait_for_replicas(3, 5, seconds=STEP_SECONDS + NEW_SIZE_SECONDS)
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
    before = answered(release)
    release.wait_for_replicas(0, 0, seconds=180)
    # A pod that is ending may still answer.
    until(lambda: not release.pods(), "the end of the last pod", seconds=180)
    assert release.predict() == 200
    # The gateway uses a pod before the cluster calls it ready.
    assert release.replicas()["running"] >= 1
    until(lambda: answered(release) == before + 1, "the event of this request", seconds=60)


def test_tidegate_decides_and_its_resizer_acts(release: Release, tmp_path: Path) -> None:
    follow(release, tmp_path)


def test_tidegate_decides_and_keda_acts_also_from_zero(release: Release, tmp_path: Path) -> None:
    keda.wait_until_served(release.kubectl)
    release.install(
        {
            # Between Tidegate's decision for none and KEDA's, the HPA has set one.
            "scaling": {"mode": "keda-external", "keda": {"cooldownSeconds": 20}},
            "settings": {"replicas": {"min": 0}},
        }
    )
    from_zero(release)
    follow(release, tmp_path)
