"""An application behind Ray's own proxy, scaled by Tidegate's autoscaler through the resizer."""

from __future__ import annotations

import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.eventually import eventually
from support.ray.cluster import (
    STEADY,
    STEPS,
    WAIT_SECONDS,
    Cluster,
    get_json,
    predict,
    ray_cluster,
    serve_config,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def cluster(short_folder: Path, artefact: Path) -> Iterator[Cluster]:
    with ray_cluster(short_folder, artefact, "--proxy") as running:
        running.deploy(serve_config("serve.yaml"))
        running.start_scaling("proxy")
        yield running


def test_a_replica_is_named_as_ray_s_and_registers_its_metrics(cluster: Cluster) -> None:
    (replica,) = cluster.replicas()
    node = f"flights-{replica['replica_id']}"
    assert cluster.targets() == {node}
    status, _, _ = predict()
    assert status == 200
    (event,) = [one for one in cluster.events() if one["url"]["path"] == "/predict"]
    assert event["service"]["node"]["name"] == node
    eventually(
        lambda: cluster.query(f'tidegate_slots{{job="model",replica="{node}"}} == 2'),
        "Prometheus finds the replica",
        WAIT_SECONDS,
    )


def test_a_trace_goes_through_ray(cluster: Cluster) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    _, headers, _ = predict(traceparent=f"00-{trace}-{parent}-01")
    assert headers["traceresponse"].split("-")[1] == trace
    (event,) = [one for one in cluster.events() if one.get("trace", {}).get("id") == trace]
    assert event["http"]["response"]["status_code"] == 200


def test_only_ray_s_own_server_of_a_replica_listens_beyond_loopback(cluster: Cluster) -> None:
    """It has no setting; the namespace has no other interface. README.md says so."""
    links = cluster.namespace.run("ip", "-brief", "link", env=cluster.environment).stdout
    assert re.findall(r"^(\w+)", links, re.MULTILINE) == ["lo"]
    listening = cluster.namespace.run("ss", "-Hltnp", env=cluster.environment).stdout
    beyond = [
        line
        for line in listening.splitlines()
        if not re.match(r"127\.0\.0\.1:|\[::ffff:127\.0\.0\.1\]:|\[::1\]:", line.split()[3])
    ]
    assert len(listening.splitlines()) > len(beyond)
    assert all("ray::ServeRepli" in line for line in beyond), "\n".join(beyond)
    assert len(beyond) == len(cluster.replicas())


def test_the_number_follows_the_load_without_a_failed_request(cluster: Cluster) -> None:
    before = cluster.predictions()
    cluster.load("steps", STEPS)
    eventually(lambda: cluster.running() >= 3, "three replicas run", WAIT_SECONDS)
    summary = cluster.summary("steps")
    assert summary["failed"] == 0, summary
    eventually(lambda: cluster.running() == 1, "one replica is left", WAIT_SECONDS)
    eventually(
        lambda: len(cluster.targets()) == 1, "the others have removed their targets", WAIT_SECONDS
    )
    assert cluster.predictions() - before == summary["answered"]
    latency = cluster.query("service:latency_seconds_p95:1m")
    assert not latency or float(latency[0]["value"][1]) >= 0.5

    def reasons() -> list[str]:
        events = cluster.events("tidegate.decision", "autoscaler")
        return [event["tidegate"]["decision"]["reason"] for event in events]

    assert "up" in reasons(), "it was SLOQ that added replicas"
    # On a busy machine, metrics may be too old at a tick.
    eventually(
        lambda: reasons()[-1] != "no-signal", "the signals are usable without load", WAIT_SECONDS
    )


def test_the_wait_in_ray_s_queue_counts_as_latency(cluster: Cluster) -> None:
    """One replica had to work off the beginning of the load: its requests waited in Ray's proxy."""
    longest = max(event["event"]["duration"] for event in cluster.events()) / 1e9
    felt = cluster.summary("steps")["response_max_seconds"]
    assert felt > 1
    assert 0.7 * felt < longest <= felt + 0.1


def test_a_deployment_under_load_fails_no_request(cluster: Cluster) -> None:
    before = cluster.predictions()
    old = {replica["replica_id"] for replica in cluster.replicas()}
    cluster.load("redeploy", STEADY)
    eventually(lambda: cluster.predictions() > before, "the load has begun", WAIT_SECONDS)
    # Another option of the actor replaces each replica.
    cluster.deploy(serve_config("serve.yaml", ray_actor_options={"num_cpus": 0.2}))
    eventually(
        lambda: not old & {replica["replica_id"] for replica in cluster.replicas()},
        "the old replicas have ended",
        WAIT_SECONDS,
    )
    summary = cluster.stop_load("redeploy")
    assert summary["failed"] == 0, summary
    assert cluster.predictions() - before == summary["answered"]


def test_a_killed_replica_is_replaced_and_its_target_removed(cluster: Cluster) -> None:
    before = cluster.predictions()
    cluster.load("kill", STEADY)
    eventually(lambda: cluster.predictions() > before, "the load has begun", WAIT_SECONDS)
    victim = cluster.replicas()[0]
    cluster.namespace.run("kill", "-9", str(victim["pid"]), env=cluster.environment)
    node = f"flights-{victim['replica_id']}"
    eventually(
        lambda: node not in cluster.targets(),
        "another replica has removed its target",
        WAIT_SECONDS,
    )
    known = cluster.predictions()
    eventually(lambda: cluster.predictions() > known, "requests are answered again", WAIT_SECONDS)
    summary = cluster.stop_load("kill")
    # What it was working on has failed, and what Ray sent there before it noticed.
    assert summary["failed"] <= 10, summary
    succeeded = summary["answered"] - summary["failed"]
    assert succeeded <= cluster.predictions() - before <= summary["sent"]


def test_the_resizer_says_what_is_wrong_in_one_sentence(cluster: Cluster) -> None:
    config = serve_config("serve.yaml")
    config["applications"][0]["external_scaler_enabled"] = False
    cluster.deploy(config)
    eventually(
        lambda: "external_scaler_enabled: true" in cluster.log("resizer"),
        "the resizer says it",
        WAIT_SECONDS,
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        get_json("http://127.0.0.1:9103/live")
    assert refused.value.code == 503
    assert "external_scaler_enabled: true" in refused.value.read().decode()
    cluster.deploy(serve_config("serve.yaml"))
    eventually(
        lambda: "can be used again" in cluster.log("resizer"), "and that it is over", WAIT_SECONDS
    )
