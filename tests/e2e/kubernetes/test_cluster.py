"""The cluster itself: what the other tests of this folder take for granted."""

from __future__ import annotations

import json
import signal
import urllib.request

import pytest

from support.eventually import eventually
from support.kubernetes.cluster import Cluster

NAMESPACE = "cluster-itself"
SERVER = """
import http.server, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"here")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


@pytest.fixture(scope="module", autouse=True)
def server(cluster: Cluster) -> None:
    """Two pods behind a Service with an address, and behind one without."""
    labels = {"app": "server"}
    container = {
        "name": "server",
        "image": "tidegate/tidegate:0.1.0",
        "command": ["python", "-c", SERVER],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    cluster.create_namespace(NAMESPACE)
    kubectl = cluster.kubectl()
    ports = [{"port": 8000}]
    kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "server"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        *(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"selector": labels, "ports": ports} | address,
            }
            for name, address in (("server", {}), ("headless", {"clusterIP": "None"}))
        ),
        namespace=NAMESPACE,
    )
    kubectl.rollout("server", namespace=NAMESPACE)


def test_a_headless_service_names_each_pod(cluster: Cluster) -> None:
    kubectl = cluster.kubectl()
    asked = "import json, socket; print(json.dumps(socket.gethostbyname_ex('headless')[2]))"
    expected = {pod["status"]["podIP"] for pod in kubectl.items("pods", "-n", NAMESPACE)}

    def named() -> bool:
        answer = kubectl.run(
            "exec", "-n", NAMESPACE, "deployment/server", "--", "python", "-c", asked
        )
        return set(json.loads(answer)) == expected

    # The DNS server hears of a ready pod a moment after the rollout does.
    assert len(expected) == 2
    eventually(named, "a name for each pod", seconds=60)


def test_this_machine_reaches_a_service(cluster: Cluster) -> None:
    url = cluster.url("server", 8000, namespace=NAMESPACE)
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == b"here"


def test_a_component_may_be_stopped_and_started_again(cluster: Cluster) -> None:
    kubectl = cluster.kubectl()
    cluster.processes.stop("kube-apiserver", signal.SIGKILL)
    assert not kubectl.succeeds("get", "nodes", "--request-timeout=1s")
    cluster.processes.start("kube-apiserver")
    cluster.control_plane.wait_until_ready()
    assert [node["metadata"]["name"] for node in kubectl.items("nodes")] == ["node"]
