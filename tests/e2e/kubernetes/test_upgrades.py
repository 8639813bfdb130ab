"""What an upgrade promises, on a real cluster: the mode changes, and nothing waits or breaks halfway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from support.eventually import eventually
from support.kubernetes import keda
from support.kubernetes.cluster import Cluster
from support.kubernetes.release import NAME, STORE_NAMESPACE, Release, Store, released

pytestmark = pytest.mark.e2e

# How the chart scales after `resizer`, and the least number of replicas, one after the other.
# To `none` the number stays: the HPA may set its own once more before it is deleted.
WALK: Final = (("hpa", 3), ("none", 3), ("keda-metrics-api", 2), ("resizer", 3))
SET_UP: Final = ("jobs", "-l", "app.kubernetes.io/component=setup-elasticsearch")
AUTOSCALER: Final = f"{NAME}-tidegate-autoscaler"


@pytest.fixture(scope="module")
def release(cluster: Cluster, store: Store) -> Iterator[Release]:
    """The chart, scaled by its resizer, beside KEDA."""
    keda.start(cluster.kubectl())
    with released(cluster, store, "upgrades", {"scaling": {"mode": "resizer"}}) as installed:
        keda.wait_until_served(installed.kubectl)
        yield installed


def sized(mode: str, number: int) -> dict[str, Any]:
    """Values for a mode with this least number of replicas."""
    return {
        "scaling": {"mode": mode},
        "settings": {"replicas": {"min": number, "start": number}},
    }


def test_from_one_mode_to_another_and_back(release: Release) -> None:
    for mode, number in WALK:
        # The number is the HPA's until then.
        flags = ("--force-conflicts",) if mode == "none" else ()
        release.install(sized(mode, number), *flags)
        release.wait_for_replicas(number, number, seconds=150)
    release.kubectl.helm("rollback", NAME, "--namespace", release.namespace, "--wait")
    number = WALK[-2][1]
    release.wait_for_replicas(number, number, seconds=150)


def test_an_upgrade_with_settings_that_no_program_starts_with_changes_nothing(
    release: Release,
) -> None:
    def generations() -> dict[str, int]:
        found = release.kubectl.items("deployment", "-n", release.namespace)
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in found}

    before = generations()
    values = {"settings": {"replicas": {"start": 9}, "slo": {"latency_seconds": 0.5}}}
    with pytest.raises(AssertionError, match="expected min ≤ start ≤ max, got min = 1"):
        release.install(values)
    assert generations() == before


def test_an_upgrade_does_not_wait_for_elasticsearch(release: Release) -> None:
    kubectl = release.kubectl
    store = ("service", "elasticsearch", "-n", STORE_NAMESPACE)

    def lead_to(app: str) -> None:
        kubectl.run("patch", *store, "-p", json.dumps({"spec": {"selector": {"app": app}}}))

    before = set(release.pods("autoscaler"))
    lead_to("away")
    try:
        changed = {"settings": {"slo": {"latency_seconds": 0.5}}}
        release.install({"scaling": {"mode": "keda-metrics-api"}} | changed, wait=False)
        (job,) = kubectl.items(*SET_UP, "-n", release.namespace)
        assert job["status"]["active"] == 1

        # A pod of the gateway waits a minute for Elasticsearch before it ends.
        eventually(lambda: set(release.pods("autoscaler")) - before, "its new pod", seconds=45)
    finally:
        lead_to("elasticsearch")
    name = f"job/{job['metadata']['name']}"
    kubectl.run(
        *("wait", "--for=condition=Complete", name, "-n", release.namespace, "--timeout=100s"),
        seconds=110,
    )
