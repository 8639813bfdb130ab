"""An application behind Ray's HAProxy, where requests wait in the replicas, scaled by SLOQ inside Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.eventually import eventually
from support.ray.cluster import (
    OBJECTIVE_SECONDS,
    POLICY,
    STEPS,
    WAIT_SECONDS,
    Cluster,
    predict,
    ray_cluster,
    serve_config,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def cluster(short_folder: Path, artefact: Path) -> Iterator[Cluster]:
    with ray_cluster(short_folder, artefact, "--haproxy") as running:
        config = serve_config("serve-inside.yaml")
        autoscaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
        autoscaling["policy"]["policy_kwargs"] |= {
            "policy": POLICY,
            "latency_seconds": OBJECTIVE_SECONDS,
        }
        running.deploy(config)
        running.start_prometheus("haproxy")
        yield running


def test_requests_reach_the_replica_through_haproxy(cluster: Cluster) -> None:
    def answered() -> bool:
        try:
            return predict()[0] == 200
        except OSError:  # HAProxy starts after the first replica
            return False

    eventually(answered, "HAProxy sends requests to the replica", WAIT_SECONDS)
    eventually(
        lambda: cluster.query('haproxy_backend_active_servers{job="gateway",proxy="model"} == 1'),
        "HAProxy's own metrics have the names that the rules use",
        WAIT_SECONDS,
    )
    eventually(
        lambda: cluster.query('tidegate_ray_arrivals_total{job="model"} >= 1'),
        "the replica counts what arrives",
        WAIT_SECONDS,
    )


def test_the_number_follows_the_load_without_a_failed_request(cluster: Cluster) -> None:
    before = cluster.predictions()
    cluster.load("steps", STEPS)
    queued = "service:queue:now > 0"
    eventually(lambda: cluster.query(queued), "the queue is that in the replicas", WAIT_SECONDS)
    eventually(lambda: cluster.running() >= 3, "three replicas run", WAIT_SECONDS)
    summary = cluster.summary("steps")
    assert summary["failed"] == 0, summary
    eventually(lambda: cluster.running() == 1, "one replica is left", WAIT_SECONDS)
    eventually(
        lambda: len(cluster.targets()) == 1, "the others have removed their targets", WAIT_SECONDS
    )
    assert cluster.predictions() - before == summary["answered"]


def test_the_wait_in_the_replica_counts_as_latency(cluster: Cluster) -> None:
    longest = max(event["event"]["duration"] for event in cluster.events()) / 1e9
    felt = cluster.summary("steps")["response_max_seconds"]
    assert felt > 1
    assert 0.7 * felt < longest <= felt + 0.1
