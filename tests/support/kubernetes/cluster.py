"""A Kubernetes cluster of one node with real containers, in namespaces of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from support.kubernetes.client import Kubectl
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.namespaces import Namespaces, Network
from support.kubernetes.node import Node
from support.kubernetes.processes import Processes
from support.kubernetes.programs import program

PROGRAMS: Final = (
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"),
    *("kube-proxy", "coredns", "pause", "kubectl", "helm"),
)
IMAGES: Final = ("tidegate-test/pause", "tidegate-test/coredns")
"""What every cluster needs."""
TIDEGATE: Final = (
    *("tidegate/tidegate:0.1.0", "tidegate/model:0.1.0"),
    *("tidegate-test/prometheus-kubernetes", "tidegate-test/elasticsearch"),
)
"""What the chart's pods run, and an Elasticsearch."""
NAME_SERVER: Final = Path(__file__).with_name("name_server.yaml")


@dataclass
class Cluster:
    """A running cluster; its folder has all that it writes, and the log of each program in `logs`."""

    folder: Path
    namespaces: Namespaces
    processes: Processes
    control_plane: ControlPlane
    node: Node

    @property
    def network(self) -> Network:
        return self.namespaces.network

    @property
    def kubeconfig(self) -> Path:
        return self.control_plane.kubeconfig()

    def kubectl(self) -> Kubectl:
        """The kubectl of the administrator."""
        return self.control_plane.kubectl()

    def create_namespace(self, name: str) -> None:
        """Create a namespace in which pods may be created at once."""
        self.kubectl().run("create", "namespace", name)
        self.control_plane.wait_for_namespace(name)

    def url(self, service: str, port: int, *, namespace: str = "default") -> str:
        """Where this machine, and no other, reaches a Service that has an address."""
        found = self.kubectl().get("service", service, "-n", namespace)
        return f"http://{found['spec']['clusterIP']}:{port}"

    def state(self) -> str:
        """What runs, what happened last, and the end of each log."""
        kubectl = self.kubectl()
        parts = [
            kubectl.call(
                "get", "pods,deployments,horizontalpodautoscalers", "-A", "-o", "wide"
            ).stdout,
            kubectl.call("get", "events", "-A", "--sort-by=.lastTimestamp").stdout[-6000:],
        ]
        pods = sorted((self.folder / "pods").glob("*/*/*.log"))
        for log in [*sorted((self.folder / "logs").glob("*.log")), *pods]:
            lines = log.read_text(errors="replace").splitlines()[-8:]
            parts.append("\n".join([f"== {log.relative_to(self.folder)}", *lines]))
        return "\n".join(parts)

    def end(self) -> None:
        """End it; its folder stays."""
        self.namespaces.end()
        self.processes.wait_for_all()


def start(folder: Path, *, images: tuple[str, ...] = (), outlive: bool = False) -> Cluster:
    """Start a cluster with these images of the Docker engine in addition to its own, in an empty folder.

    With `outlive` it stays when this process ends.
    """
    namespaces = Namespaces.create(folder, outlive=outlive)
    network = namespaces.network
    processes = Processes(folder / "logs", namespaces.entrance)
    plane = ControlPlane.inside(network, folder, processes)
    node = Node(folder, network, processes, plane)
    cluster = Cluster(folder, namespaces, processes, plane, node)
    try:
        node.start_containerd([*IMAGES, *images])
        plane.start()
        _start_scheduler(cluster)
        node.start_kubelet()
        _start_name_server(cluster)
    except BaseException:
        cluster.end()
        raise
    return cluster


def _start_scheduler(cluster: Cluster) -> None:
    own = cluster.control_plane.kubeconfig("kube-scheduler")
    cluster.processes.start(
        "kube-scheduler",
        [
            *(program("kube-scheduler"), f"--kubeconfig={own}", "--leader-elect=false"),
            *(f"--authentication-kubeconfig={own}", f"--authorization-kubeconfig={own}"),
            *("--bind-address=127.0.0.1", "--secure-port=0"),
        ],
    )


def _start_name_server(cluster: Cluster) -> None:
    kubectl = cluster.kubectl()
    documents = list(yaml.safe_load_all(NAME_SERVER.read_text()))
    for one in documents:
        if one["kind"] == "Service":
            one["spec"]["clusterIP"] = cluster.network.dns_service
    kubectl.apply(*documents, namespace="kube-system")
    kubectl.rollout("coredns", namespace="kube-system")


@contextmanager
def running(folder: Path, *, images: tuple[str, ...] = ()) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    cluster = start(folder, images=images)
    try:
        yield cluster
    finally:
        cluster.end()
