"""An application behind Ray's proxy and its HAProxy, scaled by Tidegate's autoscaler or inside Ray."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.eventually import eventually
from support.ray.cluster import (
    HIGH,
    OBJECTIVE_SECONDS,
    POLICY,
    STEADY,
    WAIT_SECONDS,
    Cluster,
    get_json,
    predict,
    ray_cluster,
    serve_config,
)
from tidegate.runtime.atomic_files import write_atomically

pytestmark = [pytest.mark.e2e, pytest.mark.in_order]
behind_proxy = pytest.mark.parametrize("cluster", ["proxy"], indirect=True)
behind_haproxy = pytest.mark.parametrize("cluster", ["haproxy"], indirect=True)


@pytest.fixture(scope="module", params=["proxy", "haproxy"])
def cluster(request: pytest.FixtureRequest, artefact: Path) -> Iterator[Cluster]:
    """A cluster, which takes half a minute to start, for all tests behind one ingress."""
    # Ray's sockets are below it, and the path of a socket has at most 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="tg-", ignore_cleanup_errors=True) as folder,
        ray_cluster(
            Path(folder),
            shutil.copytree(artefact, Path(folder) / "flights"),
            f"--{request.param}",
        ) as running,
    ):
        running.deploy(serve_config("serve.yaml"))
        running.start_scaling(request.param)
        yield running


def test_a_replica_is_named_as_ray_s_and_registers_its_metrics(cluster: Cluster) -> None:
    (replica,) = cluster.replicas()
    node = f"flights-{replica['replica_id']}"
    assert cluster.targets() == {node}
    # HAProxy starts after the first replica.
    eventually(lambda: predict()[0] == 200, "the replica answers", WAIT_SECONDS)
    (event,) = [one for one in cluster.events() if one["url"]["path"] == "/predict"]
    assert event["service"]["node"]["name"] == node
    eventually(
        lambda: cluster.query(f'tidegate_slots{{job="model",replica="{node}"}} == 2'),
        "Prometheus finds the replica",
        WAIT_SECONDS,
    )


@behind_haproxy
def test_haproxy_s_own_metrics_have_the_names_that_the_rules_use(cluster: Cluster) -> None:
    ready = 'haproxy_backend_active_servers{job="gateway",proxy="model"} == 1'
    eventually(lambda: cluster.query(ready), "its backend is that of the rules", WAIT_SECONDS)


@behind_proxy
def test_a_trace_goes_through_ray(cluster: Cluster) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    _, headers, _ = predict(traceparent=f"00-{trace}-{parent}-01")
    assert headers["traceresponse"].split("-")[1] == trace
    (event,) = [one for one in cluster.events() if one.get("trace", {}).get("id") == trace]
    assert event["http"]["response"]["status_code"] == 200


@behind_proxy
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


def follows_the_load(cluster: Cluster, name: str) -> None:
    """The number of replicas rises under load and falls after it, and no request fails."""
    before = cluster.predictions()
    cluster.load(name, HIGH)
    eventually(
        lambda: cluster.query("service:queue:now > 0"), "the queue is recorded", WAIT_SECONDS
    )
    eventually(lambda: cluster.running() >= 3, "three replicas run", WAIT_SECONDS)
    summary = cluster.summary(name)
    assert summary["failed"] == 0, summary
    eventually(lambda: cluster.running() == 1, "one replica is left", WAIT_SECONDS)
    eventually(
        lambda: len(cluster.targets()) == 1, "the others have removed their targets", WAIT_SECONDS
    )
    assert cluster.predictions() - before == summary["answered"]


def test_the_number_follows_the_load_by_tidegate_s_autoscaler(cluster: Cluster) -> None:
    follows_the_load(cluster, "rise")
    decisions = cluster.events("decision", "autoscaler")
    reasons = {event["tidegate"]["decision"]["reason"] for event in decisions}
    assert {"up", "down"} <= reasons, "it was SLOQ that set the number"


def test_the_wait_for_a_slot_counts_as_latency(cluster: Cluster) -> None:
    """One replica had to work off the beginning of the load: its requests waited in Ray's proxy or in it."""
    longest = max(event["event"]["duration"] for event in cluster.events()) / 1e9
    felt = cluster.summary("rise")["response_max_seconds"]
    assert felt > 1
    assert 0.7 * felt < longest <= felt + 0.1


@behind_proxy
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


@behind_proxy
def test_a_killed_replica_is_replaced_and_its_target_removed(cluster: Cluster) -> None:
    before = cluster.predictions()
    cluster.load("kill", STEADY)
    eventually(lambda: cluster.predictions() > before, "the load has begun", WAIT_SECONDS)
    victim = cluster.started()[0]
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


@behind_proxy
def test_a_replica_with_another_model_is_not_healthy(cluster: Cluster) -> None:
    manifest = cluster.folder / "flights" / "manifest.json"
    before, victims = manifest.read_text(), cluster.started()
    # It replaces the whole file, which may be read just now.
    write_atomically(manifest, json.dumps(json.loads(before) | {"description": "another"}))
    for victim in victims:
        cluster.namespace.run("kill", "-9", str(victim["pid"]), env=cluster.environment)
    eventually(
        lambda: "is not the model that is served here" in str(cluster.application()),
        "Ray has the reason",
        WAIT_SECONDS,
    )
    assert not cluster.running()
    write_atomically(manifest, before)
    eventually(lambda: cluster.running() > 0, "the model of the deployment runs", WAIT_SECONDS)


@behind_proxy
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
        get_json("http://127.0.0.1:9103/ready")
    assert refused.value.code == 503
    assert "external_scaler_enabled: true" in refused.value.read().decode()
    cluster.deploy(serve_config("serve.yaml"))
    eventually(
        lambda: "can be used again" in cluster.log("resizer"), "and that it is over", WAIT_SECONDS
    )


@behind_haproxy
def test_the_number_follows_the_load_by_sloq_inside_ray(cluster: Cluster) -> None:
    cluster.stop("autoscaler")
    config = serve_config("serve-inside.yaml")
    autoscaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    autoscaling["policy"]["policy_kwargs"] |= {
        "policy": POLICY,
        "latency_seconds": OBJECTIVE_SECONDS,
    }
    cluster.deploy(config)
    follows_the_load(cluster, "inside")
